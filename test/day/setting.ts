/** The configuration of the day: the guide's file as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import type { Config } from "../../schema/config.ts";

export function configOfDay(): Config {
  const path = join(ROOT, "deploy/guide/navarch/navarch-config.yaml");
  const { config, problems } = readConfig([
    { name: "navarch-config.yaml", text: readFileSync(path, "utf8") },
  ]);
  if (config === null) throw new Error(JSON.stringify(problems));
  return config;
}
