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
import { readSlurmInventory, type SlurmInventoryRead } from "./slurm-inventory.ts";

export function readInventoryFile(
  path: string,
  layout: SlurmLayout,
): SlurmInventoryRead | Failure {
  try {
    // A device or a pipe may never end.
    if (!statSync(path).isFile()) return usage(`--inventory ${path}: is not a regular file`);
    const { size } = statSync(path);
    if (size > LIMIT.configBytesMax) {
      return usage(`--inventory ${path}: ${size} bytes, ${LIMIT.configBytesMax} at most`);
    }
    return readSlurmInventory({ name: path, text: readFileSync(path, "utf8") }, layout);
  } catch (error) {
    return usage(`--inventory ${path}: ${explainPath(path, error)}`);
  }
}
