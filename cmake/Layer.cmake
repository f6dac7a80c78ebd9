# Flags that every object of the project is compiled with, and the one way to declare a layer.
add_library(msfs_flags INTERFACE)
target_compile_features(msfs_flags INTERFACE c_std_17)
target_compile_definitions(msfs_flags INTERFACE
  _GNU_SOURCE _FILE_OFFSET_BITS=64 MEDSHAPEFS_VERSION="${PROJECT_VERSION}")
target_include_directories(msfs_flags INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_compile_options(msfs_flags INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wpointer-arith
  -Wwrite-strings -Wundef -Wformat=2 -ffp-contract=off -fno-strict-aliasing -fvisibility=hidden)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^i[3-6]86$")
  # The x87 unit rounds elsewhere than all other machines do: the codec's bytes would not be the same.
  target_compile_options(msfs_flags INTERFACE -msse2 -mfpmath=sse)
endif()
if(MSFS_WERROR)
  target_compile_options(msfs_flags INTERFACE -Werror)
endif()
if(MSFS_SANITIZE)
  target_compile_options(msfs_flags INTERFACE -fsanitize=${MSFS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(msfs_flags INTERFACE -fsanitize=${MSFS_SANITIZE})
endif()
if(MSFS_COVERAGE)
  target_compile_options(msfs_flags INTERFACE --coverage)
  target_link_options(msfs_flags INTERFACE --coverage)
endif()

# layer(NAME SOURCES a.c ... [USES lower-layer ...] [VENDOR PkgConfig::X ...])
function(layer name)
  cmake_parse_arguments(L "" "" "SOURCES;USES;VENDOR" ${ARGN})
  add_library(layer_${name} STATIC ${L_SOURCES})
  list(TRANSFORM L_USES PREPEND layer_)
  target_link_libraries(layer_${name} PUBLIC msfs_flags ${L_USES} PRIVATE ${L_VENDOR})
endfunction()
