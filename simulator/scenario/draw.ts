/**
 * Draws of single failures: which type, which XID, which of the machine's own GPUs, how hot.
 */
import { xid } from "../../health/catalog/catalog.ts";
import { unreachable } from "../../schema/unreachable.ts";
import type { Random } from "../engine/random.ts";
import { TEMPERATURE, XID } from "./step.ts";
import { WHOLE_NODE } from "./action.ts";
import type { Chaos, FailureSpec, FailureType, SimNode } from "./scenario.ts";

type Drawn = FailureSpec & { message: string };

/** What a hot device reads: elevated, throttling, and close to shutting down. */
const TEMPERATURES = [85, 90, 95];

/** A failure of a type drawn by weight. */
export function drawFailure(chaos: Chaos, node: SimNode, random: Random): Drawn {
  const type = random.weighted(chaos.failureTypes)?.type ?? "xid_error";
  return drawOf(type, chaos, node, random);
}

/** A failure of this type; its XID is drawn by weight. */
export function drawOf(type: FailureType, chaos: Chaos, node: SimNode, random: Random): Drawn {
  const xidCode = type === "xid_error" ? (random.weighted(chaos.xids)?.code ?? XID) : null;
  const temperature = type === "temperature" ? (random.pick(TEMPERATURES) ?? TEMPERATURE) : null;
  return finish(type, xidCode, temperature, node, random);
}

/** A failure as scheduled outages inject it: XID 79, or the hottest reading. */
export function outageFailure(type: FailureType, node: SimNode, random: Random): Drawn {
  const xidCode = type === "xid_error" ? XID : null;
  const temperature = type === "temperature" ? TEMPERATURE : null;
  return finish(type, xidCode, temperature, node, random);
}

function finish(
  type: FailureType,
  xidCode: number | null,
  temperature: number | null,
  node: SimNode,
  random: Random,
): Drawn {
  const gpuIndex = isOfDevice(type) ? random.int(node.gpuCount) : WHOLE_NODE;
  const failure = { type, xidCode, gpuIndex, temperature };
  return { ...failure, message: messageOf(failure) };
}

/** Default message of the failure. */
export function messageOf(failure: Omit<FailureSpec, "message">): string {
  const where = failure.gpuIndex === WHOLE_NODE ? "" : ` on GPU ${failure.gpuIndex}`;
  if (failure.xidCode !== null) {
    const name = xid(failure.xidCode)?.name ?? "not in the catalogue";
    return `XID ${failure.xidCode}${where}: ${name}`;
  }
  if (failure.temperature !== null) return `${failure.temperature} °C${where}`;
  return `${failure.type.replaceAll("_", " ")}${where}`;
}

function isOfDevice(type: FailureType): boolean {
  switch (type) {
    case "xid_error":
    case "temperature":
    case "device_error":
    case "memory_error":
    case "nvlink_error":
    case "pcie_error":
    case "power_error":
      return true;
    case "nvml_failure":
    case "backend_error":
    case "boot_failure":
    case "network":
    case "preempt":
    case "vm_gone":
    case "hang":
    case "slow_boot":
      return false;
    default:
      return unreachable(type);
  }
}
