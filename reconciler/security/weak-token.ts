/** Whether a shared token can be guessed; its holder is an administrator. Pure. */

/** 96 bits, if each is one of 64 characters; `openssl rand -hex 32` gives 64 characters. */
const LENGTH_MIN = 16;

/** Compared with the letters in lower case, so `REPLACE_ME` and `replace-me` are equal. */
const PLACEHOLDERS: readonly RegExp[] = [
  /^(?:my|your)?(?:navarch|shared|auth|secret|admin|api|agent)*(?:token|secret|password|key)$/,
  /^(?:changeme(?:now|please)?|replaceme|example|placeholder|todo|test|admin|x+)$/,
];
/** The guide's own manifest has it and must start, so it is only reported. */
const GUIDE = "your-navarch-auth-token";

export type Weakness = { why: string; isRefused: boolean };

/** `isOpen`: other machines can reach the port. `null` = no weakness. */
export function weaknessOf(token: string, isOpen: boolean): Weakness | null {
  const letters = token.toLowerCase().replace(/[^a-z]/g, "");
  const isRefused = isOpen && token !== GUIDE;
  if (PLACEHOLDERS.some((one) => one.test(letters)) && !/\d{4}/.test(token)) {
    return { why: "it is a well-known placeholder", isRefused };
  }
  if (token.length >= LENGTH_MIN) return null;
  return { why: `it has ${token.length} characters, expected at least ${LENGTH_MIN}`, isRefused };
}
