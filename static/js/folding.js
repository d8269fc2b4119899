// Names as they are compared: common/folding.py in short.

const ACCENTS = /[\p{Default_Ignorable_Code_Point}\u2800\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]/gu;
const LETTERS = {
  ß: "ss", æ: "ae", œ: "oe", þ: "th", ø: "o", ł: "l", đ: "d", ð: "d", ħ: "h", ŧ: "t", ŋ: "n", ı: "i", ς: "σ",
};
const APOSTROPHES = /[‘’‚‛ʹʻʼʽˈ′‵`՚׳ꞌ]/g;
const QUOTATION_MARKS = /[“”„‟«»〝〞״]/g;
const HYPHENS = /[‐‒–—―−]/g;

/** The text without differences of case, accents, quotation marks, width and Unicode form. */
export const fold = (text) =>
  text
    .replace(/[´″‶]/g, (mark) => (mark === "´" ? "'" : '"'))
    .normalize("NFKD")
    .replace(ACCENTS, "")
    .toLowerCase()
    .replace(/[ßæœþøłđðħŧŋıς]/g, (letter) => LETTERS[letter])
    .replace(APOSTROPHES, "'")
    .replace(QUOTATION_MARKS, '"')
    .replace(HYPHENS, "-");
