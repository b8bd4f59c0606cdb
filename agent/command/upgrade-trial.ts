/**
 * The way back of a new binary that nobody can talk to. After an upgrade the new program is on
 * trial: the first reply of the control plane ends it. One that is not heard within the time of its
 * order, or that has been started too often, puts the previous binary back and ends, which is part
 * of the order that it carries out. One that cannot even start was not put in place (`upgrade.ts`).
 *
 * Adapter: files.
 */
import * as fs from "node:fs";
import * as v from "valibot";
import type { Clock, Sender } from "../port.ts";
import { parseNote, type StateFiles } from "../state-file.ts";
import { amount, count } from "../../schema/number.ts";

export const TRIAL_FILE = "upgrade.json";
/** Outlives the trial: what the running program replaced, which is what it may go back to. */
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

/** The version that `version` replaced by an order; `null` = none, or none that is known. */
export function replacedBy(files: StateFiles, version: string): string | null {
  const replaced = parseNote(Replaced, files.load(REPLACED_FILE));
  return replaced?.to === version ? replaced.from : null;
}

/** A start takes a second, and systemd waits one in between: a crash loop of ten seconds. */
const STARTS_MAX = 5;

export type Trial = {
  /** The binary is back: this process has to end now. */
  over: boolean;
  /** The same way to the control plane; its first reply ends the trial. */
  follow(sender: Sender): Sender;
};

type TrialParts = {
  binary: string;
  version: string;
  files: StateFiles;
  clock: Clock;
  /** Says goodbye and ends the process: the previous binary is in place. */
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
    log("info", "back from an upgrade", { from: to, to: version });
    end();
    return NO_TRIAL;
  }
  // By the new program, because an older one that ordered it may not have noted it.
  files.save(REPLACED_FILE, JSON.stringify({ from, to }));
  const goBack = (why: string): boolean => {
    try {
      fs.renameSync(`${binary}.previous`, binary);
    } catch (cause) {
      // There is no way back: going on is all that is left.
      log("error", "cannot go back", { why, cause: String(cause) });
      end();
      return false;
    }
    end();
    log("error", "the upgrade is rolled back", { from: to, to: from, why });
    return true;
  };
  const starts = note.starts + 1;
  if (starts > STARTS_MAX && goBack(`started ${starts} times without a word`)) {
    return { ...NO_TRIAL, over: true };
  }
  files.save(TRIAL_FILE, JSON.stringify({ ...note, starts }));
  // From this start on: the clock of the wall may have been set in between.
  const cancel = clock.after(note.confirm_ms, () => {
    if (goBack(`not heard within ${Math.round(note.confirm_ms / 1_000)} s`)) leave();
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
