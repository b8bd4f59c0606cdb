/**
 * What simulated control planes are configured with: one pool on the fake cloud and the built-in
 * rules. Both are read once for all the lives that use them, because reading them costs more than a
 * whole simulated life.
 */
import { builtinPolicy } from "../../health/policy/builtin.ts";
import { compilePolicy, type CompiledPolicy } from "../../health/policy/compile.ts";
import { readConfig } from "../../reconciler/config/read.ts";
import type { Config } from "../../schema/config.ts";

export function configOf(yaml: string): Config {
  const read = readConfig([{ name: "test.yaml", text: yaml }]);
  if (read.config === null) throw new Error(JSON.stringify(read.problems, null, 1));
  return read.config;
}

export const BASE = `
server:
  address: "127.0.0.1:50051"
  heartbeat_interval: 10s
  heartbeat_timeout: 30s
  health_check_interval: 10s
providers: { fake: { gpu_count: 2 } }
`;

/** One pool named p with these extra lines. */
export function poolYaml(size: number, extra = ""): string {
  return `${BASE}
pools:
  - name: p
    provider: fake
    instance_type: h100-8x
    scaling: { min_nodes: ${size}, max_nodes: ${size + 5} }
${extra}`;
}

const configs = new Map<string, Config>();
let builtin: CompiledPolicy | null = null;

/** Parses a configuration; returns the same object for the same text. */
export function configOnce(yaml: string): Config {
  const known = configs.get(yaml) ?? configOf(yaml);
  configs.set(yaml, known);
  return known;
}

/** The built-in rules, compiled. */
export function policyOnce(): CompiledPolicy {
  if (builtin !== null) return builtin;
  const compiled = compilePolicy(builtinPolicy);
  if (!compiled.ok) throw new Error("built-in policy does not compile");
  builtin = compiled.compiled;
  return builtin;
}
