/**
 * The compiled `navarch` as a person at a terminal runs it against a test's control plane, and the
 * few questions about a cluster's pods and audit log that several tests ask.
 *
 * Adapter: processes, network.
 */
import { NAVARCH, type Plane } from "../../fixture/plane/plane.ts";
import type { AuditEntry, Cluster, Ran } from "./cluster.ts";
import type { KubeObject } from "./joined.ts";

/** A command that waits for a drain waits for pods to end; nothing here takes longer. */
const NAVARCH_MS_MAX = 60_000;

/** `TELL=1` prints what a person would see, for whoever judges the words. */
const isTold = process.env["TELL"] === "1";

/** Runs `navarch ARGS` as the administrator. Never throws on its status. */
export async function navarch(plane: Plane, ...args: string[]): Promise<Ran> {
  const child = Bun.spawn([NAVARCH, ...args, `--server=${plane.url}`], {
    env: { ...process.env, NAVARCH_AUTH_TOKEN: plane.adminToken },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: NAVARCH_MS_MAX,
  });
  const ends = [child.stdout, child.stderr];
  const [out = "", err = ""] = await Promise.all(ends.map((end) => new Response(end).text()));
  const code = await child.exited;
  if (isTold) console.log(`$ navarch ${args.join(" ")}   # exit ${code}\n${out}${err}`);
  return { code, out, err };
}

/** The JSON of `navarch ARGS -o json`; throws with its words unless it exits with 0. */
export async function navarchJson<T>(plane: Plane, ...args: string[]): Promise<T> {
  const { code, out, err } = await navarch(plane, ...args, "-o", "json");
  if (code !== 0) throw new Error(`navarch ${args.join(" ")}: exit ${code}: ${err}`);
  return JSON.parse(out) as T;
}

/** Pods of the whole cluster, or of those that a field selector leaves. */
export async function podsOf(cluster: Cluster, fields = ""): Promise<KubeObject[]> {
  const query = fields === "" ? "" : `?fieldSelector=${encodeURIComponent(fields)}`;
  return (await cluster.json<{ items: KubeObject[] }>(`/api/v1/pods${query}`)).items;
}

export const podsOn = (cluster: Cluster, node: string): Promise<KubeObject[]> =>
  podsOf(cluster, `spec.nodeName=${node}`);

/** What of these requests changed something about that object. */
export function changesOf(entries: readonly AuditEntry[], name: string): string[] {
  return entries
    .filter(({ objectRef, verb }) => objectRef?.name === name && !/^(get|list|watch)$/.test(verb))
    .map(({ verb, objectRef, requestURI }) => {
      const part = objectRef?.subresource === undefined ? "" : `/${objectRef.subresource}`;
      const manager = /fieldManager=([^&]+)/.exec(requestURI)?.[1];
      return `${verb} ${objectRef?.resource}${part}${manager === undefined ? "" : ` ${manager}`}`;
    });
}
