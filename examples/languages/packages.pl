#!/usr/bin/env perl
# SPDX-License-Identifier: Apache-2.0
# Writes $MESH_OUT/packages.tsv, which is an artifact when this ends well.
use strict;
use warnings;

my ($status) = @ARGV;
open my $in,  '<', $status                         or die "$status: $!\n";
open my $out, '>', "$ENV{MESH_OUT}/packages.tsv" or die "packages.tsv: $!\n";
print {$out} "name\tsection\tkib\n";

my $n = 0;
local $/ = q{};    # a paragraph is a package
while (my $package = <$in>) {
    next unless $package =~ /^Status: install ok installed$/m;
    my ($name)    = $package =~ /^Package: (\S+)$/m;
    my ($section) = $package =~ /^Section: (?:\S+\/)?(\S+)$/m;
    my ($kib)     = $package =~ /^Installed-Size: (\d+)$/m;
    next unless defined $kib;
    print {$out} join("\t", $name, $section // 'none', $kib), "\n";
    $n++;
}
close $out or die "packages.tsv: $!\n";
print "$n packages\n";
