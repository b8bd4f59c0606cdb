/**
 * Reads an inventory of a Slurm cluster from its file.
 *
 * Adapter: reads a file.
 */
import { readFileSync, statSync } from "node:fs";
import type { SlurmLayout } from "../deploy/slurm/render.ts";
import { LIMIT } from "../schema/limit.ts";
import { type Failure, usage } from "./failure.ts";
import { explainPath } from "./path.ts";
import type { LiveFleet } from "./slurm-inventory-pool.ts";
import { readSlurmInventory, type SlurmInventoryRead } from "./slurm-inventory.ts";

/** `flag` is what named the path. */
export function readInventoryFile(
  flag: string,
  path: string,
  layout: SlurmLayout,
  live: LiveFleet | null,
): SlurmInventoryRead | Failure {
  try {
    // A device or a pipe may never end.
    if (!statSync(path).isFile()) return usage(`${flag} ${path}: is not a regular file`);
    const { size } = statSync(path);
    if (size > LIMIT.configBytesMax) {
      return usage(`${flag} ${path}: ${size} bytes, ${LIMIT.configBytesMax} at most`);
    }
    return readSlurmInventory({ name: path, text: readFileSync(path, "utf8") }, layout, live);
  } catch (error) {
    return usage(`${flag} ${path}: ${explainPath(path, error)}`);
  }
}
