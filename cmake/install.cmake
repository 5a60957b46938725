# SPDX-License-Identifier: Apache-2.0
# cmake --install build --prefix DIR: the program, its module, the Python package, what
# shells complete by, and the manual where there is scdoc.
install(TARGETS mesh RUNTIME DESTINATION bin)
install(TARGETS mesh-cloud mesh-http mesh-peer mesh-tls LIBRARY DESTINATION lib/mesh)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/sdk/python/mesh DESTINATION lib/mesh/python
        PATTERN __pycache__ EXCLUDE)

# Made by the program itself, so only when it is installed and not whenever it is linked.
install(CODE "
  set(made \"${CMAKE_BINARY_DIR}/installed\")
  file(MAKE_DIRECTORY \"\${made}\")
  foreach(shell bash zsh fish)
    execute_process(COMMAND \"${CMAKE_BINARY_DIR}/mesh\" completion \${shell}
                    OUTPUT_FILE \"\${made}/mesh.\${shell}\" COMMAND_ERROR_IS_FATAL ANY)
  endforeach()")
install(FILES ${CMAKE_BINARY_DIR}/installed/mesh.bash
        DESTINATION share/bash-completion/completions RENAME mesh)
install(FILES ${CMAKE_BINARY_DIR}/installed/mesh.zsh
        DESTINATION share/zsh/site-functions RENAME _mesh)
install(FILES ${CMAKE_BINARY_DIR}/installed/mesh.fish
        DESTINATION share/fish/vendor_completions.d)

find_program(SCDOC scdoc)
if(SCDOC AND PYTHON3)
  install(CODE "
    execute_process(COMMAND \"${PYTHON3}\" \"${CMAKE_SOURCE_DIR}/docs/man/make.py\"
                            \"${CMAKE_BINARY_DIR}/mesh\" \"${CMAKE_BINARY_DIR}/installed/man\"
                    COMMAND_ERROR_IS_FATAL ANY)")
  install(DIRECTORY ${CMAKE_BINARY_DIR}/installed/man DESTINATION share)
endif()
