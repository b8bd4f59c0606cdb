/** Names a configuration for people: files with the same meaning have the same name. Pure. */
import { createHash } from "node:crypto";
import type { Config } from "../../schema/config.ts";

export function hashConfig(config: Config): string {
  return createHash("sha256").update(JSON.stringify(config)).digest("hex").slice(0, 12);
}
