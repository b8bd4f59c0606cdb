/** Compares the GPUs that a cluster declares with those that its controller knows. Pure. */
import { containersOf, mapOf, podOf, textOf } from "../deploy/slurm/reference-set.ts";
import { expandHostlist } from "../reconciler/core/slurm/hostlist.ts";
import type { Findings, Seen } from "./slurm-object-check.ts";

type Listed = string | { why: string };

/** `list` prints `name state gres` of each node; it is called only where GPUs are declared. */
export async function judgeGpus(seen: Seen, list: () => Promise<Listed>): Promise<Findings> {
  const config = seen.find(({ kind, metadata }) => {
    return kind === "ConfigMap" && metadata.name === "slurm-config";
  });
  if (config === undefined) {
    return { failed: ["ConfigMap slurm-config: does not exist"], found: [] };
  }
  const declared = declaredGpus(textOf(mapOf(config["data"])["slurm.conf"]));
  const limit = limitOf(seen);
  const failed = [...declared]
    .filter(([, count]) => limit !== null && count !== limit)
    .map(([node, count]) => `${node}: slurm.conf declares ${count}, its pod has ${limit ?? 0}`);
  const total = [...declared.values()].reduce((sum, count) => sum + count, 0);
  if (total === 0) return { failed, found: ["none declared"] };
  const listed = await list();
  if (typeof listed !== "string") return { failed: [...failed, listed.why], found: [] };
  const known = readListed(listed);
  for (const [node, count] of declared) {
    if (count === 0) continue;
    const { state = "unknown to the controller", gpus = 0 } = known.get(node) ?? {};
    if (gpus !== count) failed.push(`${node}: GPU_COUNT ${gpus}<${count} (${state})`);
    else if (/^(inval|down|fail|unk)/.test(state)) failed.push(`${node}: is ${state}`);
  }
  return { failed, found: failed.length > 0 ? [] : [`${total} on ${declared.size} nodes`] };
}

function declaredGpus(text: string): Map<string, number> {
  const declared = new Map<string, number>();
  for (const line of text.split("\n")) {
    const names = /^\s*NodeName\s*=\s*(\S+)/i.exec(line)?.[1];
    if (names === undefined || names === "DEFAULT") continue;
    const hosts = expandHostlist(names);
    const gpus = countGpus(/\sGres\s*=\s*(\S+)/i.exec(line)?.[1] ?? "");
    for (const host of hosts.kind === "ok" ? hosts.names : [names]) declared.set(host, gpus);
  }
  return declared;
}

/** Of `gpu:h100:8(S:0-1),shard:4`; a resource without a count is one. */
function countGpus(gres: string): number {
  return gres
    .replace(/\([^()]{0,256}\)/g, "")
    .split(",")
    .filter((one) => one === "gpu" || one.startsWith("gpu:"))
    .reduce((sum, one) => sum + Number(/:(\d+)$/.exec(one)?.[1] ?? 1), 0);
}

function readListed(text: string): Map<string, { state: string; gpus: number }> {
  const rows = text.split("\n").map((line) => line.trim().split(/\s+/));
  return new Map(
    rows.map(([name = "", state = "", gres = ""]) => [name, { state, gpus: countGpus(gres) }]),
  );
}

/** GPUs of a compute pod; `null` without the workload. */
function limitOf(seen: Seen): number | null {
  const compute = seen.find(({ kind, metadata }) => {
    return kind === "StatefulSet" && metadata.name === "slurm-compute";
  });
  if (compute === undefined) return null;
  const limits = containersOf(podOf(compute) ?? {}).map(({ resources }) => {
    return Number(mapOf(mapOf(resources)["limits"])["nvidia.com/gpu"] ?? 0);
  });
  return limits.reduce((sum, one) => sum + one, 0);
}
