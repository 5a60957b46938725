# SPDX-License-Identifier: Apache-2.0
# cpack --config build/CPackConfig.cmake: a .deb and a tarball of what is installed. The
# tarball runs wherever it is unpacked; the .deb brings a unit, which it does not start.
install(FILES ${CMAKE_SOURCE_DIR}/packaging/mesh.service DESTINATION lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/packaging/mesh.conf DESTINATION share/doc/mesh)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION share/doc/mesh RENAME copyright)

set(CPACK_PACKAGE_NAME mesh)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR mesh)
set(CPACK_PACKAGE_CONTACT "the mesh project")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "runs flows of tasks on many machines, without a server")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_FILE_NAME mesh-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_SOURCE_DIR}/packaging/postinst ${CMAKE_SOURCE_DIR}/packaging/prerm)
include(CPack)
