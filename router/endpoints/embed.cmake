# cmake -DINPUT=page.html -DOUTPUT=page_html.cpp -P embed.cmake: a file's bytes as page_html().
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUTPUT} "#include \"router/endpoints/page.h\"

namespace bessemer {
namespace {

constexpr unsigned char kPage[] = {
${bytes}
};

}  // namespace

std::string_view page_html() { return {reinterpret_cast<const char*>(kPage), sizeof kPage}; }

}  // namespace bessemer
")
