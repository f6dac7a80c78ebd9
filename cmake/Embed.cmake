# embed(OUT.c HEADER SYMBOL FILE [SYMBOL FILE ...]): makes OUT.c, in which each SYMBOL is the array of the bytes of its
# FILE and SYMBOL_len their number, as HEADER declares them. Nothing but CMake is needed.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
  function(embed out header)
    set(files ${ARGN})
    list(FILTER files EXCLUDE REGEX "^[a-z_]+$")
    list(TRANSFORM files PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    add_custom_command(
      OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${out}
      COMMAND ${CMAKE_COMMAND} -DOUT=${CMAKE_CURRENT_BINARY_DIR}/${out} -DHEADER=${header}
              "-DPAIRS=${ARGN}" -P ${EMBED_SCRIPT}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
      DEPENDS ${files} ${EMBED_SCRIPT}
      COMMENT "Embedding data into ${out}" VERBATIM)
  endfunction()
  return()
endif()

set(text "#include \"${HEADER}\"\n")
while(PAIRS)
  list(POP_FRONT PAIRS symbol file)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(................................)" "\\1\n    " bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND text "\nconst unsigned char ${symbol}[] = {\n    ${bytes}\n};\n"
    "const size_t ${symbol}_len = sizeof(${symbol});\n")
endwhile()
file(WRITE ${OUT} "${text}")
