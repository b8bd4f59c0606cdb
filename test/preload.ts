/** Runs before the files of every `bun test` (bunfig.toml): gives fast-check the fixed seed. */
import { FIXED_SEED } from "./seed.ts";

if (FIXED_SEED !== null) {
  const { default: fc } = await import("fast-check");
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: FIXED_SEED });
}
