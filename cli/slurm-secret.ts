/**
 * The passwords of a Slurm cluster's database: new ones for the keys that the cluster lacks. Those
 * that it has are never read, so they cannot be shown or overwritten.
 *
 * Adapter: takes random bytes.
 */
import { randomBytes } from "node:crypto";
import { fillDbSecret } from "../deploy/slurm/manifest-base.ts";
import { DB_KEYS, DB_SECRET, type SlurmManifestOptions } from "../deploy/slurm/manifest-option.ts";
import { EXIT, failure } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import type { Kubectl } from "./kubectl.ts";

/** Prints the names of keys with a value. */
const KEYS =
  '-o=go-template={{range $key, $value := .data}}{{if $value}}{{$key}}{{"\\n"}}{{end}}{{end}}';
const PASSWORD_BYTES = 24;

/** The Secret for `kubectl apply`, with a value for each key that the cluster lacks. */
export async function renderMissingSecret(
  kubectl: Kubectl,
  options: SlurmManifestOptions,
): Promise<Read<string>> {
  const { namespace } = options;
  const where = ["-n", namespace, "secret", DB_SECRET];
  const answer = await kubectl(["get", ...where, "--ignore-not-found", KEYS]);
  if (!answer.ok) {
    const what = `Secret ${namespace}/${DB_SECRET} could not be read: ${answer.why}`;
    const next = "new passwords might replace those of a running database, so none are made";
    return failure(EXIT.unreachable, "unreachable", `${what}; ${next}`);
  }
  const has = answer.out.split("\n");
  const missing = DB_KEYS.filter((key) => !has.includes(key));
  const values = missing.map((key) => [key, randomBytes(PASSWORD_BYTES).toString("base64url")]);
  return { ok: true, value: fillDbSecret(options, Object.fromEntries(values)) };
}
