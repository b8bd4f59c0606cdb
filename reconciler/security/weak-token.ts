/**
 * Whether a shared token can be guessed. Whoever has it is an administrator, so one that stands in
 * a manual, or is short, is no secret where others reach the port. Pure.
 */

/** With 64 characters to choose from, 96 bits; `openssl rand -hex 32` gives 64 characters. */
const LENGTH_MIN = 16;

/** Letters only, in lower case: `REPLACE_ME` and `replace-me` are one. */
const PLACEHOLDERS: readonly RegExp[] = [
  /^(?:my|your)?(?:navarch|shared|auth|secret|admin|api|agent)*(?:token|secret|password|key)$/,
  /^(?:changeme(?:now|please)?|replaceme|example|placeholder|todo|test|admin|x+)$/,
];
/** The guide's own manifest has it, and has to start: it is reported, and not refused. */
const GUIDE = "your-navarch-auth-token";

export type Weakness = { why: string; isRefused: boolean };

/** `isOpen`: others than this machine reach the port. `null` = nothing to say. */
export function weaknessOf(token: string, isOpen: boolean): Weakness | null {
  const letters = token.toLowerCase().replace(/[^a-z]/g, "");
  const isRefused = isOpen && token !== GUIDE;
  if (PLACEHOLDERS.some((one) => one.test(letters)) && !/\d{4}/.test(token)) {
    return { why: "it is a well-known placeholder", isRefused };
  }
  if (token.length >= LENGTH_MIN) return null;
  return { why: `it has ${token.length} characters, expected at least ${LENGTH_MIN}`, isRefused };
}
