/**
 * Reads the SSH private key: the one of `--key`, else the first that ssh would try. A key with a
 * passphrase is refused, since there is no prompt for it.
 *
 * Adapter: reads key files.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkPrivateKey } from "../bootstrap/ssh/ssh2.ts";
import { usage } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import { explainPath } from "./path.ts";

/** ssh_config(5), IdentityFile. */
const NAMES = ["id_ed25519", "id_ecdsa", "id_rsa"];

/** The key's text. */
export function readPrivateKey(given: string | null, home: string): Read<string> {
  const own = NAMES.map((name) => join(home, ".ssh", name));
  const path = given ?? own.find((one) => existsSync(one));
  if (path === undefined) {
    return usage(`bootstrap --host needs --key FILE (none of ${own.join(", ")} exists)`);
  }
  const flag = given === null ? path : `--key ${path}`;
  let text: string;
  try {
    text = readFileSync(path.replace(/^~(?=\/)/, home), "utf8");
  } catch (error) {
    return usage(`${flag}: ${explainPath(path, error)}`);
  }
  const problem = checkPrivateKey(text);
  if (problem === null) return { ok: true, value: text };
  const half = path.replace(/\.pub$/, "");
  const hint = half !== path && existsSync(half) ? ` (did you mean ${half}?)` : "";
  return usage(`${flag}: ${problem}${hint}`);
}
