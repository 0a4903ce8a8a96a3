// node, as a program made of the libnode that Apache embeds.
#include <node.h>

int main(int argc, char** argv) {
  return node::Start(argc, argv);
}
