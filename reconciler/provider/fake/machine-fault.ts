/**
 * Injects faults into the machines of a `fake` provider: lines in the kernel log that the agent
 * follows, and readings in the fault file of its simulated GPUs. Marks in the log are the record of
 * what was injected; the fault file follows from them, so a repeat after a crash completes it. A
 * reboot empties both.
 *
 * Adapter: files.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { InstanceId } from "../../../schema/id.ts";
import { MachineFault } from "../../../schema/machine-fault.ts";
import { instant } from "../../../schema/number.ts";
import type { FaultInjector, InjectAnswer, InjectedFault } from "../../core/fault-injector.ts";
import { writeWhole } from "../../security/identity.ts";
import { appendRecords, formatXid, readRecords, simulatedPci } from "./kernel-log.ts";
import { instanceFolder } from "./process.ts";

const MARK = "navarch-sim: ";

/** More than a baseboard has parts. */
export const FAULTS_MAX = 128;

const Mark = v.variant("mark", [
  v.object({ mark: v.literal("fault"), id: v.string(), atMs: instant, fault: MachineFault }),
  v.object({ mark: v.literal("clear") }),
]);
type Mark = v.InferOutput<typeof Mark>;

/** Readings above every limit of the simulated model, and its links (`agent/nvml/healthy.ts`). */
const SHUTDOWN_CELSIUS = 97;
const LINKS = Array.from({ length: 18 }, (_, link) => link);

/** What each kind puts into the fault file (`GpuFault` in `agent/nvml/simulated.ts`). */
const READINGS: Readonly<Record<MachineFault["kind"], Readonly<Record<string, unknown>>>> = {
  xid: {},
  ecc: { eccUncorrectedVolatile: 1 },
  thermal: { temperatureCelsius: SHUTDOWN_CELSIUS },
  nvlink: { linksDown: LINKS },
  lost: { offBus: true },
};
const OWN = new Set(Object.values(READINGS).flatMap((readings) => Object.keys(readings)));

/** Codes that the driver logs with the fault. */
function xidOf(fault: MachineFault): number | null {
  if (fault.kind === "xid") return fault.code;
  return fault.kind === "lost" ? 79 : fault.kind === "nvlink" ? 74 : null;
}

/** The same for simulated workers of AgentPools, whose agents other programs start. */
export function openWorkerMachines(stateDir: string) {
  const folder = (worker: string): string => instanceFolder(stateDir, worker as InstanceId);
  return { injector: openFakeFaults(stateDir), folder };
}

export function openFakeFaults(stateDir: string): FaultInjector {
  const at = (id: InstanceId, name: string) => join(instanceFolder(stateDir, id), name);
  const change = (id: InstanceId, work: (log: string) => InjectAnswer): InjectAnswer => {
    const log = at(id, "kmsg");
    if (!existsSync(log)) return absent(id);
    try {
      const answer = work(log);
      if (answer.kind === "ok") writeFaults(at(id, "gpu-faults.json"), faultsIn(log));
      return answer;
    } catch (error) {
      return { kind: "failed", message: reasonOf(error) };
    }
  };
  return {
    inject: async (id, { id: key, atMs, ...fault }) =>
      change(id, (log) => {
        const marks = marksIn(log);
        if (marks.some((one) => one.mark === "fault" && one.id === key)) return { kind: "ok" };
        if (faultsIn(log).length >= FAULTS_MAX) {
          const message = `instance ${id} has ${FAULTS_MAX} faults, the most: clear them first`;
          return { kind: "absent", message };
        }
        const code = xidOf(fault);
        const said = code === null ? [] : [formatXid(code, simulatedPci(fault.gpu))];
        appendRecords(log, [formatMark({ mark: "fault", id: key, atMs, fault }), ...said]);
        return { kind: "ok" };
      }),
    clear: async (id) =>
      change(id, (log) => {
        if (faultsIn(log).length > 0) appendRecords(log, [formatMark({ mark: "clear" })]);
        return { kind: "ok" };
      }),
    async list(id) {
      const log = at(id, "kmsg");
      if (!existsSync(log)) return absent(id);
      try {
        return { kind: "ok", faults: faultsIn(log) };
      } catch (error) {
        return { kind: "failed", message: reasonOf(error) };
      }
    },
  };
}

function absent(id: InstanceId): { kind: "absent"; message: string } {
  return { kind: "absent", message: `instance ${id} is gone, or its agent has not started yet` };
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

const formatMark = (mark: Mark) => `${MARK}${JSON.stringify(mark)}`;

/** Marks of other programs, and damaged ones, are no marks. */
function marksIn(log: string): Mark[] {
  return readRecords(log).flatMap((text) => {
    if (!text.startsWith(MARK)) return [];
    try {
      const read = v.safeParse(Mark, JSON.parse(text.slice(MARK.length)));
      return read.success ? [read.output] : [];
    } catch {
      return [];
    }
  });
}

function faultsIn(log: string): InjectedFault[] {
  const marks = marksIn(log);
  const since = marks.findLastIndex(({ mark }) => mark === "clear");
  return marks
    .slice(since + 1)
    .flatMap((one) => (one.mark === "fault" ? [{ ...one.fault, id: one.id, atMs: one.atMs }] : []));
}

const FaultFile = v.looseObject({
  gpus: v.optional(v.record(v.string(), v.record(v.string(), v.unknown())), {}),
});

/** Readings that a person wrote into the file stay. */
function writeFaults(path: string, faults: readonly InjectedFault[]): void {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "{}";
  const file = v.parse(FaultFile, JSON.parse(text));
  const gpus = new Map(
    Object.entries(file.gpus).map(([index, readings]) => {
      const others = Object.entries(readings).filter(([name]) => !OWN.has(name));
      return [index, Object.fromEntries(others)];
    }),
  );
  for (const { kind, gpu } of faults) {
    gpus.set(String(gpu), { ...gpus.get(String(gpu)), ...READINGS[kind] });
  }
  const kept = [...gpus].filter(([, readings]) => Object.keys(readings).length > 0);
  writeWhole(path, `${JSON.stringify({ ...file, gpus: Object.fromEntries(kept) })}\n`);
}
