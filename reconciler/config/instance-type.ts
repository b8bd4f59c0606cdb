/**
 * Abstract instance types: one name for the same hardware at several clouds (`navarch/config.md`
 * §7). They resolve by the provider's type, never by the name it has in the configuration.
 */
import type { ProviderType } from "../../schema/config.ts";

type Row = Partial<Record<ProviderType, string>>;

const ABSTRACT = new Map<string, Row>([
  ["h100-8x", { lambda: "gpu_8x_h100_sxm5", gcp: "a3-highgpu-8g", aws: "p5.48xlarge" }],
  ["h100-1x", { lambda: "gpu_1x_h100_pcie", gcp: "a3-highgpu-1g" }],
  ["a100-8x", { lambda: "gpu_8x_a100", gcp: "a2-highgpu-8g", aws: "p4d.24xlarge" }],
  ["a100-4x", { lambda: "gpu_4x_a100", gcp: "a2-highgpu-4g" }],
  ["a100-1x", { lambda: "gpu_1x_a100", gcp: "a2-highgpu-1g" }],
  ["a10-1x", { lambda: "gpu_1x_a10", aws: "g5.xlarge" }],
  ["l4-1x", { gcp: "g2-standard-4", aws: "g6.xlarge" }],
]);

/** These sell no fixed catalogue: any name is taken as it stands. */
const ANY_TYPE: readonly ProviderType[] = ["fake", "docker", "static", "machine"];

/** The type to ask the provider for, or `null` if an abstract name has no row for it. */
export function concreteType(name: string, provider: ProviderType): string | null {
  const row = ABSTRACT.get(name);
  if (row === undefined || ANY_TYPE.includes(provider)) return name;
  return row[provider] ?? null;
}

/** The providers that sell an abstract type, for messages. */
export function sellersOf(name: string): string[] {
  return Object.keys(ABSTRACT.get(name) ?? {});
}
