/** What a fault of a virtual Node's annotation is on its simulated machine. Pure. */
import type { Boot } from "../../reconciler/provider/kwok/instance.ts";
import type { SimFault } from "../../reconciler/provider/kwok/sim-fault.ts";
import { unreachable } from "../../schema/unreachable.ts";
import { curedByReboot } from "../machine/reboot.ts";
import type { Failure } from "../scenario/fault.ts";
import { WHOLE_NODE } from "../scenario/action.ts";

/** `id` is the machine's own number of the fault. */
export function failureOf(fault: SimFault, id: number): Failure {
  const of = (type: Failure["type"], xidCode: number | null, gpuIndex: number): Failure => {
    return { id, type, xidCode, gpuIndex, temperature: null, message: "" };
  };
  switch (fault.kind) {
    case "xid":
      return of("xid_error", fault.code, fault.gpu);
    case "lost":
      return of("xid_error", 79, fault.gpu);
    case "ecc":
      return of("memory_error", null, fault.gpu);
    case "thermal":
      return of("temperature", null, fault.gpu);
    case "nvlink":
      return of("xid_error", 74, fault.gpu);
    case "network":
      return of("network", null, WHOLE_NODE);
    default:
      return unreachable(fault);
  }
}

/** The faults that this boot still has, oldest first: some end with the boot they began in. */
export function lastingFaults(faults: readonly SimFault[], boot: Boot): SimFault[] {
  const lasts = (fault: SimFault): boolean =>
    fault.atMs >= boot.atMs || !curedByReboot(failureOf(fault, 0));
  return faults.filter(lasts).toSorted((a, b) => a.atMs - b.atMs || (a.id < b.id ? -1 : 1));
}
