/** Hosts and ports that Slurm's configuration files in a ConfigMap refer to. Pure. */
import { type KubeObject, listOf, mapOf, podOf, textOf, type WorkSet } from "./reference-set.ts";

type Link = { file: string; host: string; port: string; usual: number };

/** Slurm reads keys in any case. */
const LINKS: readonly Link[] = [
  { file: "slurm.conf", host: "SlurmctldHost", port: "SlurmctldPort", usual: 6817 },
  { file: "slurm.conf", host: "AccountingStorageHost", port: "AccountingStoragePort", usual: 6819 },
  { file: "slurmdbd.conf", host: "DbdHost", port: "DbdPort", usual: 6819 },
  { file: "slurmdbd.conf", host: "StorageHost", port: "StoragePort", usual: 3306 },
];

/** More than any cluster; a longer list is not counted out. */
const NODES_MAX = 100_000;

export function judgeConfig(set: WorkSet, map: KubeObject): void {
  const files = mapOf(map["data"]);
  for (const { file, host, port, usual } of LINKS) {
    const text = textOf(files[file]);
    const name = valueOf(text, host)?.replace(/\(.*/, "");
    if (name === undefined || name === "localhost") continue;
    judgeHost(set, map, { key: `${host} of ${file}`, name, port: numberOf(text, port, usual) });
  }
  const text = textOf(files["slurm.conf"]);
  const port = numberOf(text, "SlurmdPort", 6818);
  for (const { node, address } of nodesOf(text)) judgeNode(set, map, { node, address, port });
}

function judgeHost(
  set: WorkSet,
  map: KubeObject,
  { key, name, port }: { key: string; name: string; port: number },
): void {
  const service = set.find(map, "Service", name);
  set.judge(map, `Service ${name} (${key})`, service !== null);
  if (service === null) return;
  const isServed = listOf(mapOf(service["spec"])["ports"]).some((one) => one["port"] === port);
  set.judge(map, `port ${port} of Service ${name} (${key})`, isServed);
}

/** `slurm-compute-0.slurm-compute` is pod 0 of the StatefulSet behind the headless Service. */
function judgeNode(
  set: WorkSet,
  map: KubeObject,
  { node, address, port }: { node: string; address: string; port: number },
): void {
  const [pod = "", service = ""] = address.split(".");
  const found = set.find(map, "Service", service);
  set.judge(map, `Service ${service} (NodeAddr of ${node})`, found !== null);
  if (found === null) return;
  const [, name = "", ordinal = ""] = /^(.+)-(\d+)$/.exec(pod) ?? [];
  const workload = set.find(map, "StatefulSet", name);
  const spec = mapOf(workload?.["spec"]);
  const isPod = spec["serviceName"] === service && Number(ordinal) < Number(spec["replicas"] ?? 1);
  set.judge(map, `pod ${pod} (NodeAddr of ${node})`, isPod);
  if (workload === null || podOf(workload) === null) return;
  set.judge(map, `port ${port} of ${name} (SlurmdPort)`, set.hasPort(workload, port));
}

/** Nodes with an address; those without one are resolved by their names. */
function nodesOf(text: string): { node: string; address: string }[] {
  const lines = text.split("\n").filter((line) => /^\s*NodeName\s*=/i.test(line));
  return lines.slice(0, NODES_MAX).flatMap((line) => {
    const node = /NodeName\s*=\s*(\S+)/i.exec(line)?.[1] ?? "";
    const address = /\sNodeAddr\s*=\s*(\S+)/i.exec(line)?.[1];
    return address === undefined || node === "DEFAULT" ? [] : [{ node, address }];
  });
}

function valueOf(text: string, key: string): string | undefined {
  return new RegExp(`^[ \\t]*${key}[ \\t]*=[ \\t]*([^\\s#]+)`, "im").exec(text)?.[1];
}

function numberOf(text: string, key: string, usual: number): number {
  const value = valueOf(text, key);
  return value === undefined ? usual : Number.parseInt(value, 10);
}
