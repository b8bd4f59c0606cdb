/**
 * Reports GPUs that this process may not open, and readings that it may not have. Both say nothing
 * about the GPUs, so a check with them is inconclusive; a pod has only its own GPUs, and those that
 * it may not open are another's. Pure.
 */
import type { NvmlCheck } from "../port/reading.ts";
import { type Condition, ConditionList } from "./probe.ts";
import type { Probe, ProbeContext, ProbeOut } from "./probe.ts";

type Looked = { probe: Probe; out: ProbeOut };

/** Probes that judge and were denied a reading; a load that is not shown hides no fault. */
function deniedProbes(looked: readonly Looked[]): Looked[] {
  return looked.filter(({ probe, out }) => probe.kinds.length > 0 && out.denied.length > 0);
}

/** True if a permission is missing without which a GPU of this node is not judged. */
export function isRestrained(
  { denied = 0 }: NvmlCheck,
  looked: readonly Looked[],
  { bus }: Pick<ProbeContext, "bus">,
): boolean {
  const isPod = bus.kind === "unreadable" && bus.restricted === true;
  return (denied > 0 && !isPod) || deniedProbes(looked).length > 0;
}

/** At most one condition: whatever is denied, the remedy is the same. */
export function permissionConditions(check: NvmlCheck, looked: readonly Looked[]): Condition[] {
  const { count: listed, denied = 0 } = check;
  const unread = deniedProbes(looked);
  const names = unread.map(({ probe }) => probe.name).join(", ");
  const uuids = new Set(unread.flatMap(({ out }) => out.denied));
  const level = denied + uuids.size;
  if (level === 0) return [];
  const said: string[] = [];
  if (denied > 0) {
    const what = `${denied} of ${listed} GPUs may not be opened by this process`;
    said.push(`${what}: they are not checked`);
  }
  if (uuids.size > 0) {
    said.push(`this process may not read ${names} of ${uuids.size} of ${listed} GPUs`);
  }
  const list = new ConditionList("driver", null, { denied: level, listed });
  list.add("permission", "warning", said.join("; "), { level });
  return list.all;
}
