/**
 * Small notes that outlive the agent: what the probes remember, which commands were carried out.
 * Each is replaced as a whole. Without a directory they live as long as the process.
 *
 * Adapter: the file system.
 */
import * as fs from "node:fs";
import { join } from "node:path";

export type StateFiles = {
  /** The text last saved, or `null`. */
  load(name: string): string | null;
  /** Makes the text durable; the answer says why it could not be, or `null`. */
  save(name: string, text: string): string | null;
};

/** Files of mode 0600 in `directory`; `null` keeps nothing. */
export function openStateFiles(directory: string | null): StateFiles {
  if (directory === null) return { load: () => null, save: () => "no state directory" };
  return {
    load: (name) => {
      try {
        return fs.readFileSync(join(directory, name), "utf8");
      } catch {
        return null;
      }
    },
    save: (name, text) => {
      const fresh = join(directory, `${name}.new`);
      try {
        const fd = fs.openSync(fresh, "w", 0o600);
        try {
          fs.writeSync(fd, text);
          fs.fsyncSync(fd);
        } finally {
          fs.closeSync(fd);
        }
        fs.renameSync(fresh, join(directory, name));
        return null;
      } catch (cause) {
        return cause instanceof Error ? cause.message : String(cause);
      }
    },
  };
}
