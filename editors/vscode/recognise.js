// Whether a text is a program. Files that end in .pt may be PyTorch checkpoints, so the name alone says nothing.

const BEFORE_CODE = /^\uFEFF?(?:[ \t]*(?:#[^\n]*)?\r?\n)*/;
const OPENS_A_PROGRAM = /^[ \t]*(?:edition[ \t]+[0-9]+\b|from[ \t]+[\w.]+[ \t]+import\b)/;

/** Whether the first line of code is one that only a program begins with. */
function isProgram(text) {
  return OPENS_A_PROGRAM.test(text.replace(BEFORE_CODE, ""));
}

module.exports = { isProgram };
