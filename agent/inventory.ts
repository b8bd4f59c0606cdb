/**
 * Who and what the node is, as it is told: the options first, then what the machine says of itself,
 * and nothing that neither knows. Pure.
 */
import type { GpuIdentity } from "../schema/gpu.ts";
import { type Inventory, POD_TOKEN_CAPABILITY } from "../schema/report.ts";
import type { Machine } from "./machine.ts";
import type { Options } from "./option.ts";

/** A function that puts the GPUs of the moment into the rest, which does not change. */
export function createInventory(
  options: Options,
  machine: Machine,
  hostname: string,
  /** What the agent can do beyond what its options say. */
  more: readonly string[] = [],
): (gpus: GpuIdentity[]) => Inventory {
  const { fake } = options;
  const fixed = {
    hostname: hostname.slice(0, 255),
    provider: options.provider ?? machine.provider,
    region: options.region,
    zone: options.zone,
    instance_type: options.instanceType ?? machine.instanceType,
    // Many simulated nodes may share one machine: its identity is not theirs.
    provider_ids: fake ? [] : machine.providerIds,
    pool: options.pool,
    labels: options.labels,
    internal_ip: machine.internalIp,
    external_ip: null,
    kernel_version: machine.kernelVersion,
    capabilities: [
      "diagnose",
      ...(options.allowCommands ? ["reboot", "gpu_reset"] : []),
      ...(options.podTokenFile === null ? [] : [POD_TOKEN_CAPABILITY]),
      ...more,
    ],
  };
  return (gpus) => ({
    ...fixed,
    driver_version: gpus[0]?.driver_version ?? null,
    cuda_version: gpus[0]?.cuda_version ?? null,
    gpus,
  });
}
