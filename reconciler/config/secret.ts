/**
 * Text that looks like a secret. A configuration is copied, shown and stored in version control, so
 * one in it is worth a warning, and is never printed back.
 */
import type { Problems } from "./problem.ts";
import type { Tree } from "./tree.ts";

const PATTERNS: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----/,
  /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/,
  /\bAIza[0-9A-Za-z_-]{35}\b/,
  /\b(?:ghp|gho|ghs|github_pat)_[0-9A-Za-z_]{20,}/,
  /\bxox[abprs]-[0-9A-Za-z-]{10,}/,
  /\bsecret_[0-9A-Za-z-]{1,64}_[0-9A-Za-z.]{20,}/,
  /\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}/,
  // Whoever knows the address of such a web hook may write to it: nothing else is asked for.
  /\bhttps:\/\/hooks\.slack\.com\/(?:services|workflows|triggers)\/(?!\$)[^\s$]+/i,
  /\bhttps:\/\/(?:\w+\.)?discord(?:app)?\.com\/api\/(?:v\d+\/)?webhooks\/(?!\$)[^\s$]+/i,
  /\bhttps:\/\/[\w.-]+\.webhook\.office\.com\/webhookb2\/(?!\$)[^\s$]+/i,
  /\bBearer +(?!\$)[0-9A-Za-z._~+/-]{12,}/i,
];

export function looksSecret(text: string): boolean {
  return PATTERNS.some((pattern) => pattern.test(text));
}

/** Warns at every scalar of the tree that looks like a secret. */
export function warnSecrets(problems: Problems, tree: Tree): void {
  if (tree.kind === "map") for (const entry of tree.entries) warnSecrets(problems, entry.value);
  else if (tree.kind === "list") for (const item of tree.items) warnSecrets(problems, item);
  else if (typeof tree.value === "string" && looksSecret(tree.value)) {
    const message = "looks like a secret";
    const hint = "name an environment variable or a file instead";
    problems.warning(tree.at, tree.path, "secret", message, hint);
  }
}

/** The text with everything that looks like a secret replaced. */
export function hideSecrets(text: string, by: string): string {
  return PATTERNS.reduce((out, pattern) => {
    return out.replace(new RegExp(pattern.source, `${pattern.flags}g`), by);
  }, text);
}
