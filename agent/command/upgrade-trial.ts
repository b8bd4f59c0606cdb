/**
 * Rolls back an upgrade that fails. The new program is on trial until the first reply of the
 * control plane. Without a reply within the time of its order, or after too many starts, it
 * restores the previous binary and ends. A binary that cannot start is never installed
 * (`upgrade.ts`).
 *
 * Adapter: files.
 */
import * as fs from "node:fs";
import * as v from "valibot";
import type { Clock, Sender } from "../port/port.ts";
import { parseNote, type StateFiles } from "../spool/state-file.ts";
import { amount, count } from "../../schema/number.ts";

export const TRIAL_FILE = "upgrade.json";
/** Outlives the trial: the version that the running program replaced, for an ordered rollback. */
const REPLACED_FILE = "replaced.json";

const TrialNote = v.object({
  from: v.string(),
  to: v.string(),
  /** Wall milliseconds. */
  at: count,
  confirm_ms: amount,
  starts: count,
});
export type TrialNote = v.InferOutput<typeof TrialNote>;

const Replaced = v.object({ from: v.string(), to: v.string() });

/** The version that `version` replaced by an order; `null` if unknown. */
export function replacedBy(files: StateFiles, version: string): string | null {
  const replaced = parseNote(Replaced, files.load(REPLACED_FILE));
  return replaced?.to === version ? replaced.from : null;
}

/** A start takes a second, and systemd waits one between: a crash loop of ten seconds. */
const STARTS_MAX = 5;

export type Trial = {
  /** The previous binary is restored: this process must end now. */
  over: boolean;
  /** The same sender; its first reply ends the trial. */
  follow(sender: Sender): Sender;
};

type TrialParts = {
  binary: string;
  version: string;
  files: StateFiles;
  clock: Clock;
  /** Sends a last report and ends the process: the previous binary is in place. */
  leave: () => void;
  log: (level: "info" | "error", message: string, fields?: Record<string, unknown>) => void;
};

export const NO_TRIAL: Trial = { over: false, follow: (sender) => sender };

export function openTrial(parts: TrialParts): Trial {
  const { binary, version, files, clock, leave, log } = parts;
  const note = parseNote(TrialNote, files.load(TRIAL_FILE));
  if (note === null) return NO_TRIAL;
  const { from, to } = note;
  const end = (): void => void files.save(TRIAL_FILE, "null");
  if (to !== version) {
    log("info", "rolled back from an upgrade", { from: to, to: version });
    end();
    return NO_TRIAL;
  }
  // Stored by the new program: an older one may not store it.
  files.save(REPLACED_FILE, JSON.stringify({ from, to }));
  const goBack = (why: string): boolean => {
    try {
      fs.renameSync(`${binary}.previous`, binary);
    } catch (cause) {
      log("error", "cannot roll back the upgrade", { why, cause: String(cause) });
      end();
      return false;
    }
    end();
    log("error", "the upgrade is rolled back", { from: to, to: from, why });
    return true;
  };
  const starts = note.starts + 1;
  if (starts > STARTS_MAX && goBack(`started ${starts} times without a reply`)) {
    return { ...NO_TRIAL, over: true };
  }
  files.save(TRIAL_FILE, JSON.stringify({ ...note, starts }));
  // Counted from this start: the wall clock may have been set.
  const cancel = clock.after(note.confirm_ms, () => {
    if (goBack(`no reply within ${Math.round(note.confirm_ms / 1_000)} s`)) leave();
  });
  let open = true;
  return {
    over: false,
    follow: (sender) => ({
      connected: () => sender.connected(),
      listen: (heard) => sender.listen(heard),
      close: () => sender.close(),
      send: async (report) => {
        const answer = await sender.send(report);
        if (answer.kind === "reply" && open) {
          open = false;
          cancel();
          end();
          log("info", "upgraded", { from, to });
        }
        return answer;
      },
    }),
  };
}
