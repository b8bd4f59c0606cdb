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
  // A bootstrap token of kubeadm: whoever has it joins the cluster.
  /\b(?<![.-])[a-z0-9]{6}\.[a-z0-9]{16}\b(?![.-])/,
  // A join token of k3s or rke2, and one of Docker swarm.
  /\bK10[0-9a-f]{20,}::\w+:\S+/,
  /\bSWMTKN-1-[0-9a-z-]{20,}/,
];

/** What a flag or a variable is called whose value is a secret; a file or a hash is none. */
const SECRET_NAME =
  "[\\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|access[_-]?key|credential|certificate-key)";
const PUBLIC_END = "(?:[_-]?(?:file|path|env|dir|hash|ttl|name|id|stdin|ca[\\w-]*))";
/** A value as a shell reads it; a variable or a template's own is no secret. */
const VALUE = "(?:\"(?!\\$|\\{\\{)[^\"]+\"|'(?!\\{\\{)[^']+'|(?![\"'$]|\\{\\{)[^\\s\"';|&)]+)";

/** The part before the secret is kept, so that a person still knows what the command does. */
const NAMED: readonly RegExp[] = [
  new RegExp(`(--?(?!${SECRET_NAME}${PUBLIC_END})${SECRET_NAME}s?(?:=| +))${VALUE}`, "gi"),
  new RegExp(`(\\b(?!${SECRET_NAME}${PUBLIC_END})${SECRET_NAME}=)${VALUE}`, "gi"),
  /(\b[\w.+-]+:\/\/[^\s:@/"']*:)(?!\$)[^\s@/"']+(?=@)/g,
  /(\bAuthorization: *(?:Basic|Token) +)(?!\$)[^\s"']+/gi,
  /(\bhttps?:\/\/[^\s?"']+\?)[^\s"']+/g,
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
  const named = NAMED.reduce((out, pattern) => out.replace(pattern, `$1${by}`), text);
  return PATTERNS.reduce((out, pattern) => {
    return out.replace(new RegExp(pattern.source, `${pattern.flags}g`), by);
  }, named);
}
