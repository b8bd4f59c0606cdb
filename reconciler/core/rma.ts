/** Makes the RMA record of an owned machine that no repair step cured. Pure. */
import { countOf } from "../../schema/article.ts";
import { formatRepeats, repeatsOf } from "../../health/policy/history.ts";
import type { HeldFinding } from "../../schema/held.ts";
import type { Node } from "../../schema/node.ts";
import type { RmaRecord } from "../../schema/rma.ts";
import { parseInstant } from "../../schema/instant.ts";

/** A machine has at most sixteen GPUs, each with a few faults. */
const FAULTS_MAX = 64;

/** `skipped` are the repair steps that were passed over, each with its reason. */
export function rmaOf(node: Node, skipped: readonly string[], now: number): RmaRecord {
  const { agent, instance, health, rebootedAt } = node;
  const faults = health.held
    .filter(({ judgement }) => judgement.result === "unhealthy")
    .slice(0, FAULTS_MAX)
    .map((held) => faultOf(held, node));
  const { hostname = null, driver_version, kernel_version } = agent?.inventory ?? {};
  const session = node.session?.reasons ?? [];
  return {
    at: now,
    hostname,
    host: instance?.host?.name ?? instance?.id ?? node.id,
    address: instance?.externalIp ?? instance?.internalIp ?? null,
    rack: instance?.host?.rack ?? null,
    provider: instance?.provider ?? "",
    driver: driver_version ?? null,
    kernel: kernel_version ?? null,
    because: [...session, ...skipped].slice(0, 8),
    rebootedAt,
    faults,
  };
}

function faultOf(held: HeldFinding, { agent, health }: Node): RmaRecord["faults"][number] {
  const { finding, judgement } = held;
  const repeats = repeatsOf(health.history, finding, judgement.rule);
  const gpus = agent?.inventory.gpus ?? [];
  const gpu =
    gpus.find(({ uuid }) => uuid === finding.gpu_uuid) ??
    gpus.find(({ index }) => finding.gpu_uuid === null && index === finding.gpu_index);
  const { kind, code, reason } = finding;
  return {
    fault: code === null ? `${kind} ${reason ?? ""}`.trim() : `${kind.toUpperCase()} ${code}`,
    gpu: finding.gpu_index ?? gpu?.index ?? null,
    uuid: finding.gpu_uuid ?? gpu?.uuid ?? null,
    serial: gpu?.serial ?? null,
    model: gpu?.name ?? null,
    pci: finding.pci ?? gpu?.pci_bus_id ?? null,
    line: finding.message,
    at: parseInstant(finding.at),
    count: repeats?.lines ?? held.count,
    ...(repeats === null ? {} : { occurrences: repeats.occurrences }),
  };
}

export function sayTimes(fault: { count: number; occurrences?: number | undefined }): string {
  const { count, occurrences } = fault;
  return occurrences === undefined
    ? countOf(count, "time")
    : formatRepeats({ lines: count, occurrences });
}

/** One line for the machine, and one for each fault. */
export function formatRma(rma: RmaRecord): string[] {
  const words = (...pairs: [string, string | number | null][]): string =>
    pairs.flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`])).join(", ");
  const reboot = rma.rebootedAt === null ? null : new Date(rma.rebootedAt).toISOString();
  const { host, hostname, address, rack, driver, kernel } = rma;
  const machine = words(
    ["host", host],
    ["host name", hostname === host ? null : hostname],
    ["address", address],
    ["rack", rack],
    ["driver", driver],
    ["kernel", kernel],
    ["last reboot", reboot],
  );
  const faults = rma.faults.map((one) => {
    const { fault, gpu, uuid, serial, model, pci, at, line, count } = one;
    const which = words(["GPU", gpu], ["model", model], ["UUID", uuid], ["serial", serial]);
    const times = count === 1 ? "" : ` (${sayTimes(one)})`;
    const when = new Date(at).toISOString();
    return `${fault}${times} at ${when}: ${which}${pci === null ? "" : `, PCI ${pci}`}: ${line}`;
  });
  return [machine, ...faults];
}

/** The faults in one line, for the event. */
export function formatFaults({ host, faults }: RmaRecord): string {
  const each = faults.slice(0, 4).map(({ fault, uuid, serial, pci }) => {
    const which = serial === null ? (uuid ?? pci) : `serial ${serial}`;
    return which === null ? fault : `${fault} on ${which}`;
  });
  const more = faults.length > 4 ? ` and ${faults.length - 4} more` : "";
  return `RMA record of ${host}: ${each.join(", ") || "no fault is held"}${more}`;
}
