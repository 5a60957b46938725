# SPDX-License-Identifier: Apache-2.0
# An input lies at $MESH_IN under its name; what is left in $MESH_OUT is an artifact. Text
# that is JSON is told so by `mesh artifact put --type json`, and any language reads it.
packages <- read.delim(file.path(Sys.getenv("MESH_IN"), "packages"), quote = "")

mib <- sort(tapply(packages$kib, packages$section, sum) / 1024, decreasing = TRUE)
top <- head(mib, 8)
cat(sprintf("%-14s %7.1f MiB\n", names(top), top), sep = "")

quarters <- quantile(packages$kib)
json <- sprintf('{"quarters_kib": [%s], "largest_section": "%s", "packages": %d}',
                paste(format(quarters, scientific = FALSE, trim = TRUE), collapse = ", "),
                names(mib)[1], nrow(packages))
put <- pipe("mesh artifact put sizes - --type json", "w")
writeLines(json, put)
stopifnot(close(put) == 0)

pdf(file.path(Sys.getenv("MESH_OUT"), "sections.pdf"), width = 7, height = 4)
par(mar = c(4, 8, 2, 1))
barplot(rev(top), horiz = TRUE, las = 1, xlab = "MiB", main = "Packages by section")
invisible(dev.off())
