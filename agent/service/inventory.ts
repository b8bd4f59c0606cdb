/** Makes the node's inventory: the options first, then the machine's own values. Pure. */
import type { GpuIdentity } from "../../schema/gpu.ts";
import { type Inventory, POD_TOKEN_CAPABILITY } from "../../schema/report.ts";
import type { Machine } from "../host/machine.ts";
import type { Options } from "./option.ts";

/** `more` are capabilities beyond those of the options. The GPUs alone change over time. */
export function createInventory(
  options: Options,
  machine: Machine,
  hostname: string,
  more: readonly string[],
): (gpus: GpuIdentity[]) => Inventory {
  const { fake, worker } = options;
  const fixed = {
    hostname: hostname.slice(0, 255),
    provider: options.provider ?? machine.provider,
    region: options.region,
    zone: options.zone,
    instance_type: options.instanceType ?? (worker ? null : machine.instanceType),
    // Many simulated nodes, and pods, may share one machine: its identity is not theirs.
    provider_ids: fake || worker ? [] : machine.providerIds,
    pool: options.pool,
    labels: options.labels,
    internal_ip: machine.internalIp,
    external_ip: null,
    kernel_version: machine.kernelVersion,
    capabilities: [
      "diagnose",
      ...(options.allowCommands ? ["reboot", "gpu_reset"] : []),
      ...(options.podTokenFile === null ? [] : [POD_TOKEN_CAPABILITY]),
      // A pod's agent is part of its image: no release replaces it.
      ...(worker ? [] : more),
    ],
  };
  return (gpus) => ({
    ...fixed,
    driver_version: gpus[0]?.driver_version ?? null,
    cuda_version: gpus[0]?.cuda_version ?? null,
    gpus,
  });
}
