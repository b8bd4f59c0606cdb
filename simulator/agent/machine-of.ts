/** The simulated machine that a virtual Node stands for. Pure. */
import { createHash } from "node:crypto";
import * as v from "valibot";
import {
  type Boot,
  bootOf,
  BoughtNode,
  folderOf,
  instanceOf,
  TOKEN,
} from "../../reconciler/provider/kwok/instance.ts";
import { GPU_RESOURCE } from "../../reconciler/provider/kwok/catalog.ts";
import {
  parseSimFaults,
  type ReadFaults,
  SIM_FAULTS,
} from "../../reconciler/provider/kwok/sim-fault.ts";
import { BootId, NodeId } from "../../schema/id.ts";
import { LIMIT } from "../../schema/limit.ts";
import { count } from "../../schema/number.ts";
import type { MachineIdentity } from "../machine/machine.ts";

/** What of a virtual Node its agent depends on. */
export type Wanted = {
  /** Of the Node, which is also the key of its collection. */
  name: string;
  uid: string;
  resourceVersion: string;
  /** Folder of the credential. */
  folder: string;
  identity: MachineIdentity;
  boot: Boot;
  bootId: BootId;
  faults: ReadFaults;
};

const Status = v.object({
  status: v.nullish(
    v.object({
      capacity: v.nullish(v.record(v.string(), v.union([v.string(), count])), {}),
    }),
    null,
  ),
});

const NODE_TAG = "navarch-node";

/** `null` = it is no purchase of this fleet that an agent could run for. */
export function wantedOf(json: unknown, provider: string, fleetId: string): Wanted | null {
  const read = v.safeParse(v.intersect([BoughtNode, Status]), json);
  if (!read.success) return null;
  const { metadata, status } = read.output;
  const instance = instanceOf({ metadata });
  const nodeId = v.safeParse(NodeId, instance.tags[NODE_TAG]);
  const token = metadata.annotations[TOKEN];
  if (!nodeId.success || token === undefined) return null;
  if (instance.tags["navarch-fleet"] !== fleetId || instance.state !== "running") return null;
  const { name, uid } = metadata;
  const boot = bootOf({ metadata });
  const gpus = Number(status?.capacity?.[GPU_RESOURCE] ?? 0);
  const { region, zone, instanceType } = instance;
  return {
    ...{ name, uid, resourceVersion: metadata.resourceVersion ?? "", folder: folderOf(token) },
    identity: {
      name,
      nodeId: nodeId.output,
      instanceId: instance.id,
      hostname: name,
      // GPUs keep their identity over restarts of this process, and no two machines share one.
      ordinal: Number.parseInt(digest(`${uid}/gpus`).slice(0, 12), 16),
      node: {
        ...{ id: name, provider, region: region ?? "", zone: zone ?? "", rack: "", instanceType },
        gpuCount: Math.min(Math.max(0, Math.floor(gpus) || 0), LIMIT.gpusPerNodeMax),
        gpuType: gpuTypeOf(instanceType),
        labels: {},
        pool: instance.tags["navarch-pool"] ?? "",
      },
    },
    boot,
    bootId: bootIdOf(uid, boot.count),
    faults: parseSimFaults(metadata.annotations[SIM_FAULTS]),
  };
}

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** In the form of the kernel's; the same for every process that runs this boot. */
function bootIdOf(uid: string, boot: number): BootId {
  const hex = digest(`${uid}/boot/${boot}`);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `4${hex.slice(13, 16)}`];
  return v.parse(BootId, [...parts, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join("-"));
}

/** As the driver names the GPUs of the catalogue's machines. */
function gpuTypeOf(instanceType: string): string {
  if (instanceType === "dgxa100.40g") return "NVIDIA A100-SXM4-40GB";
  if (instanceType.startsWith("dgxa100")) return "NVIDIA A100-SXM4-80GB";
  return "NVIDIA H100 80GB HBM3";
}
