/**
 * What the next boot ends: the state of drivers, of the library and of the cards' own counters,
 * which a reset clears. What is broken in the metal, in the room or in the network is there again
 * when the machine is.
 */
import { unreachable } from "../../schema/unreachable.ts";
import type { FailureSpec } from "../scenario/scenario.ts";
import { lastingOf } from "./xid.ts";

export function curedByReboot({ type, xidCode }: FailureSpec): boolean {
  switch (type) {
    case "xid_error":
      // A row that could not be remapped stays so; the card is to be sent back.
      return lastingOf(xidCode ?? 0) !== "remap_failed";
    case "nvml_failure":
    case "backend_error":
    case "device_error":
    case "memory_error":
    case "nvlink_error":
    case "pcie_error":
    case "hang":
      return true;
    case "temperature":
    case "boot_failure":
    case "network":
    case "power_error":
    case "preempt":
    case "vm_gone":
    case "slow_boot":
      return false;
    default:
      return unreachable(type);
  }
}
