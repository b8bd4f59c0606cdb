/**
 * Installs a Slurm cluster on Kubernetes with kubectl: namespace, munge key, passwords, objects.
 * Each step may be repeated after a crash: keys and passwords are made once.
 */
import { renderNamespace } from "../deploy/slurm/manifest-base.ts";
import { renderSlurmStream } from "../deploy/slurm/manifest.ts";
import type { SlurmManifestOptions } from "../deploy/slurm/manifest-option.ts";
import { MUNGE_SECRET, renderMungeSecret } from "../deploy/slurm/munge-secret.ts";
import { EXIT, failure, type Failure } from "./failure.ts";
import type { Read } from "./host-flag.ts";
import type { Kubectl } from "./kubectl.ts";
import { judgeObjects, type Seen } from "./slurm-object-check.ts";
import { renderMissingSecret } from "./slurm-secret.ts";
import type { World } from "./world.ts";

export type Deploy = {
  kubectl: Kubectl;
  world: World;
  options: SlurmManifestOptions;
  /** Draws or reads the munge key, only when the cluster has none. */
  mungeKey(): Read<Uint8Array>;
};

/** Large sets take the API server a while. */
const APPLY_MS = 120_000;
const POLL_MS = 2_000;

/** Validates every object on the server, and changes nothing. */
export async function tryDeploy({ kubectl, world, options }: Deploy): Promise<Failure | null> {
  const { namespace } = options;
  const found = await kubectl(["get", "namespace", namespace, "--ignore-not-found", "-o=name"]);
  if (!found.ok) return failed(`namespace ${namespace}`, found.why);
  const isNew = found.out.trim() === "";
  if (isNew) world.err(`namespace ${namespace} is new: objects are checked in default\n`);
  // The server knows no namespace that a dry run made.
  const place = isNew ? { ...options, namespace: "default" } : options;
  const stream = renderSlurmStream(place, null);
  const args = ["apply", "--dry-run=server", "--validate=strict", "-f", "-"];
  const applied = await kubectl(args, { input: stream, timeoutMs: APPLY_MS });
  if (!applied.ok) return failed("the objects", applied.why);
  world.err(applied.out);
  return null;
}

export async function deploySlurm(deploy: Deploy): Promise<Failure | null> {
  const { kubectl, world, options } = deploy;
  const apply = async (what: string, input: string): Promise<Failure | null> => {
    const applied = await kubectl(["apply", "-f", "-"], { input, timeoutMs: APPLY_MS });
    if (!applied.ok) return failed(what, applied.why);
    world.err(applied.out);
    return null;
  };
  const place = await apply(`namespace ${options.namespace}`, renderNamespace(options));
  if (place !== null) return place;
  const key = await createKey(deploy);
  if (key !== null) return key;
  const secret = await renderMissingSecret(kubectl, options);
  if (!secret.ok) return secret;
  return apply("the objects", renderSlurmStream(options, secret.value));
}

/** With `create`, which never replaces: daemons with different keys refuse each other. */
async function createKey(deploy: Deploy): Promise<Failure | null> {
  const { kubectl, world, options } = deploy;
  const { namespace } = options;
  const where = ["-n", namespace, "secret", MUNGE_SECRET];
  const found = await kubectl(["get", ...where, "--ignore-not-found", "-o=name"]);
  if (!found.ok) return failed(`Secret ${MUNGE_SECRET}`, found.why);
  if (found.out.trim() !== "") return null;
  const key = deploy.mungeKey();
  if (!key.ok) return key;
  const input = renderMungeSecret(key.value, namespace);
  const created = await kubectl(["create", "-f", "-"], { input });
  if (!created.ok) return failed(`Secret ${MUNGE_SECRET}`, created.why);
  world.err(created.out);
  return null;
}

/** Until every workload is ready; `null` then, and what is missing after the limit. */
export async function awaitPods(deploy: Deploy, limitMs: number): Promise<Failure | null> {
  const { kubectl, world, options } = deploy;
  const end = world.monoMs() + limitMs;
  let said = "";
  for (;;) {
    const kinds = "statefulsets,deployments,pods";
    const listed = await kubectl(["get", kinds, "-n", options.namespace, "-o=json"]);
    const lines = listed.ok ? unready(listed.out) : [listed.why];
    if (lines.length === 0) return null;
    const text = lines.join("\n");
    if (text !== said) world.err(`waiting:\n${text}\n`);
    said = text;
    if (world.monoMs() >= end) {
      const what = `not ready after ${Math.round(limitMs / 1_000)} s: ${lines.join("; ")}`;
      return failure(EXIT.notReached, "not_reached", what);
    }
    await world.sleep(POLL_MS);
  }
}

function unready(text: string): readonly string[] {
  const { items } = JSON.parse(text) as { items: Seen };
  return judgeObjects(items, "pods").failed;
}

const failed = (what: string, why: string): Failure =>
  failure(EXIT.failed, "kubectl", `${what} could not be applied: ${why}`);
