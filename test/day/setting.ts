/** The configuration of the day: the guide's file as it is, with the zones of its second pool. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import type { Config } from "../../schema/config.ts";

/** Compute Engine sells by zone, and the guide names a region only. */
export function configOfDay(): Config {
  const path = join(ROOT, "deploy/guide/navarch/navarch-config.yaml");
  const more = `pools: [{ name: inference, zones: [us-central1-a, us-central1-b] }]`;
  const { config, problems } = readConfig([
    { name: "navarch-config.yaml", text: readFileSync(path, "utf8") },
    { name: "zones.yaml", text: more },
  ]);
  if (config === null) throw new Error(JSON.stringify(problems));
  return config;
}
