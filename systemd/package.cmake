# SPDX-License-Identifier: MIT
# Debian packages by CPack: one for each COMPONENT that the rooms install into.
#
#   cmake --preset package && cmake --build build-package && (cd build-package && cpack -G DEB)
set(CPACK_PACKAGE_NAME vmreqd)
set(CPACK_PACKAGE_VENDOR "The vmreqd authors")
set(CPACK_PACKAGE_CONTACT "The vmreqd authors <maintainers@vmreqd.example.org>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL vmreqd vmreqd-dev vmreqctl libvmreq libvmreq-dev libvmreqclient libvmreqclient-dev)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
if(NOT CPACK_DEBIAN_PACKAGE_RELEASE)
  set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
endif()
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/daemon/vm ${PROJECT_BINARY_DIR}/client)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)

# vmreq_package(COMPONENT NAME SECTION DEPENDS SUMMARY TEXT)
function(vmreq_package component name section depends summary text)
  string(TOUPPER ${component} key)
  set(prefix CPACK_DEBIAN_${key})
  set(${prefix}_PACKAGE_NAME ${name} PARENT_SCOPE)
  set(${prefix}_PACKAGE_SECTION ${section} PARENT_SCOPE)
  set(${prefix}_PACKAGE_DEPENDS "${depends}" PARENT_SCOPE)
  set(${prefix}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  set(CPACK_COMPONENT_${key}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  # What Debian wants of every package: its licence and its changes.
  set(doc ${CMAKE_INSTALL_DATAROOTDIR}/doc/${name})
  install(FILES ${PROJECT_SOURCE_DIR}/systemd/package/copyright DESTINATION ${doc} COMPONENT ${component})
  install(FILES ${PROJECT_BINARY_DIR}/changelog.Debian.gz DESTINATION ${doc} COMPONENT ${component})
endfunction()

# Times and names left out of it, so that the same sources make the same bytes.
execute_process(COMMAND gzip -9nc ${CMAKE_CURRENT_SOURCE_DIR}/package/changelog
  OUTPUT_FILE ${PROJECT_BINARY_DIR}/changelog.Debian.gz COMMAND_ERROR_IS_FATAL ANY)

set(self "(= ${PROJECT_VERSION}-1)")
vmreq_package(vmreqd vmreqd admin "systemd (>= 252)" "request broker for virtual machines"
" Hosts a virtual machine with one emulation thread per virtual CPU, and lets\n \
programs call registered functions on those threads over a Unix socket. A VM\n \
is a systemd unit: vmreqd@NAME, started by its socket on first use.")
vmreq_package(vmreqd-dev vmreqd-dev devel "" "header for modules of vmreqd"
" What a module that registers functions with vmreqd includes, and the manual\n \
page that explains it.")
vmreq_package(vmreqctl vmreqctl admin "" "command line of vmreqd"
" Calls functions on the virtual CPUs of the VMs of this host, and shows what\n \
they do.")
vmreq_package(libvmreq libvmreq0 libs "" "request engine for virtual machines"
" Requests from any thread to the emulation threads of a virtual machine:\n \
bounded lock-free queues, deadlines, cancellation, broadcasts, rendezvous.")
vmreq_package(libvmreq-dev libvmreq-dev libdevel "libvmreq0" "request engine for virtual machines, for development"
" Header, static library and manual page of libvmreq.")
vmreq_package(libvmreqclient libvmreqclient0 libs "" "client library of vmreqd"
" Blocking and asynchronous calls to a vmreqd over its Unix socket.")
vmreq_package(libvmreqclient-dev libvmreqclient-dev libdevel "libvmreqclient0"
"client library of vmreqd, for development"
" Header, static library and manual page of libvmreqclient.")

# ldconfig runs by a trigger.
set(CPACK_DEBIAN_LIBVMREQ_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/package/triggers)
set(CPACK_DEBIAN_LIBVMREQCLIENT_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/package/triggers)
set(package ${CMAKE_CURRENT_SOURCE_DIR}/package)
set(CPACK_DEBIAN_VMREQD_PACKAGE_CONTROL_EXTRA
  ${package}/conffiles ${package}/postinst ${package}/prerm ${package}/postrm)
include(CPack)
