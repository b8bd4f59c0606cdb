/** The flags that say which Slurm cluster on Kubernetes is meant, and what they may hold. */
import {
  GPUS_MAX,
  HOST_PORTS,
  MEMORY_MIB_MIN,
  NODES_MAX,
  SLURM_DEFAULTS,
  type SlurmManifestOptions,
} from "../deploy/slurm/manifest-option.ts";
import { readRelease, SLURM_RELEASES } from "../deploy/slurm/version.ts";
import { unknownName, usage } from "./failure.ts";
import { type Flag, type Flags, switchFlag, textFlag } from "./flag.ts";
import type { Read } from "./host-flag.ts";
import { isNamespace } from "./manifest.ts";

const { namespace, image, storageClass, nodes, cpus, gpus, version } = SLURM_DEFAULTS;

export const NAMESPACE_FLAG: Flag = {
  ...textFlag("namespace", "NAME", `namespace of the cluster (default ${namespace})`),
  env: ["SLURM_NAMESPACE"],
};

export const SLURM_FLAGS: readonly Flag[] = [
  NAMESPACE_FLAG,
  textFlag("image", "IMAGE", `image of slurmctld, slurmd and slurmdbd (default ${image})`),
  textFlag(
    "storage-class",
    "NAME",
    `of both claims; empty is the cluster's own default (default ${storageClass})`,
  ),
  textFlag("nodes", "N", `compute nodes, 1 to ${NODES_MAX} (default ${nodes})`),
  textFlag("cpus", "N", `CPU limit of a compute pod (default ${cpus})`),
  textFlag("memory", "SIZE", "memory limit of a compute pod, as 64Gi (default 2Gi)"),
  textFlag("gpus", "N", `GPUs of a compute pod, up to ${GPUS_MAX} (default ${gpus?.count ?? 0})`),
  textFlag("gpu-model", "NAME", "their type in Slurm (default h100)"),
  textFlag("slurm-version", "X.Y", `Slurm in the image (default ${version})`),
  switchFlag("cgroup", "track processes by cgroup: compute pods are privileged"),
  {
    ...textFlag("host-ports", "WHICH", "ports on machines: control, all, none (default control)"),
    values: HOST_PORTS,
  },
];

/** A registry's address, folders, a tag or a digest. */
const IMAGE = /^[a-z0-9][\w.:@/-]{0,511}$/i;
/** A DNS subdomain. */
const CLASS = /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$/;
const MODEL = /^[a-z][a-z0-9_-]{0,31}$/;

export function readNamespace(flags: Flags): Read<string> {
  const value = flags.text("namespace") ?? namespace;
  if (isNamespace(value)) return { ok: true, value };
  const source = flags.source("namespace");
  return usage(`${source} ${value}: expected lower-case letters, digits and dashes`);
}

export function readSlurmOptions(flags: Flags): Read<SlurmManifestOptions> {
  const place = readNamespace(flags);
  if (!place.ok) return place;
  const count = readCount(flags, "nodes", { least: 1, most: NODES_MAX, usual: nodes });
  if (!count.ok) return count;
  const cpuCount = readCount(flags, "cpus", { least: 1, most: 4_096, usual: cpus });
  if (!cpuCount.ok) return cpuCount;
  const memory = readMemory(flags);
  if (!memory.ok) return memory;
  const gpu = readGpus(flags);
  if (!gpu.ok) return gpu;
  const words = readWords(flags);
  if (!words.ok) return words;
  return {
    ok: true,
    value: {
      ...words.value,
      namespace: place.value,
      nodes: count.value,
      cpus: cpuCount.value,
      memoryMiB: memory.value,
      gpus: gpu.value,
      hasCgroup: flags.on("cgroup"),
    },
  };
}

type Words = Pick<SlurmManifestOptions, "image" | "storageClass" | "version" | "hostPorts">;

function readWords(flags: Flags): Read<Words> {
  const [named, kind] = [flags.text("image") ?? image, flags.text("storage-class") ?? storageClass];
  if (!IMAGE.test(named)) return usage(`--image ${named}: expected NAME:TAG or NAME@DIGEST`);
  if (!CLASS.test(kind)) return usage(`--storage-class ${kind}: expected the name of a class`);
  const ports = flags.text("host-ports") ?? SLURM_DEFAULTS.hostPorts;
  const hostPorts = HOST_PORTS.find((one) => one === ports);
  if (hostPorts === undefined) return unknownName("host-ports", ports, HOST_PORTS);
  const asked = flags.text("slurm-version") ?? version;
  const release = SLURM_RELEASES.find((one) => one === readRelease(asked));
  if (release === undefined) {
    return usage(`--slurm-version ${asked}: expected one of ${SLURM_RELEASES.join(", ")}`);
  }
  return { ok: true, value: { image: named, storageClass: kind, version: release, hostPorts } };
}

type Bounds = { least: number; most: number; usual: number };

function readCount(flags: Flags, name: string, bounds: Bounds): Read<number> {
  const { least, most, usual } = bounds;
  const text = flags.text(name);
  if (text === null) return { ok: true, value: usual };
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return { ok: true, value };
  return usage(`--${name} ${text}: expected a whole number from ${least} to ${most}`);
}

const MIB_MAX = 64 * 1024 * 1024;

function readMemory(flags: Flags): Read<number> {
  const text = flags.text("memory");
  if (text === null) return { ok: true, value: SLURM_DEFAULTS.memoryMiB };
  const [, digits = "", unit] = /^(\d{1,8})([MG]i)$/.exec(text) ?? [];
  const value = Number(digits) * (unit === "Gi" ? 1024 : 1);
  if (unit !== undefined && value >= MEMORY_MIB_MIN && value <= MIB_MAX) return { ok: true, value };
  return usage(`--memory ${text}: expected ${MEMORY_MIB_MIN}Mi or more, as 2048Mi or 64Gi`);
}

function readGpus(flags: Flags): Read<SlurmManifestOptions["gpus"]> {
  const count = readCount(flags, "gpus", { least: 0, most: GPUS_MAX, usual: 0 });
  if (!count.ok) return count;
  const model = flags.text("gpu-model");
  if (count.value === 0) {
    if (model !== null) return usage("--gpu-model needs --gpus");
    return { ok: true, value: null };
  }
  const type = model ?? "h100";
  if (!MODEL.test(type)) {
    return usage(`--gpu-model ${type}: expected a lower-case word, as h100`);
  }
  return { ok: true, value: { model: type, count: count.value } };
}
