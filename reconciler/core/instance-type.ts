/**
 * Abstract instance types: one name for the same hardware at several clouds, resolved by the type
 * of the provider.
 */
import type { ProviderType } from "../../schema/config.ts";

type Row = Partial<Record<ProviderType, string>>;

const ABSTRACT = new Map<string, Row>([
  [
    "h100-8x",
    {
      lambda: "gpu_8x_h100_sxm5",
      gcp: "a3-highgpu-8g",
      aws: "p5.48xlarge",
      coreweave: "gd-8xh100ib-i128",
      kwok: "dgxh100.80g",
    },
  ],
  ["h100-1x", { lambda: "gpu_1x_h100_pcie", gcp: "a3-highgpu-1g" }],
  [
    "a100-8x",
    {
      lambda: "gpu_8x_a100",
      gcp: "a2-highgpu-8g",
      aws: "p4d.24xlarge",
      coreweave: "gd-8xa100-i128",
      kwok: "dgxa100.80g",
    },
  ],
  ["a100-4x", { lambda: "gpu_4x_a100", gcp: "a2-highgpu-4g" }],
  ["a100-1x", { lambda: "gpu_1x_a100", gcp: "a2-highgpu-1g" }],
  ["a10-1x", { lambda: "gpu_1x_a10", aws: "g5.xlarge" }],
  ["l4-1x", { gcp: "g2-standard-4", aws: "g6.xlarge" }],
]);

/** Providers without a fixed catalogue accept any name. */
const ANY_TYPE: readonly ProviderType[] = ["command", "fake", "docker", "ssh", "static", "machine"];

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

/**
 * EC2's names do not contain the number of GPUs: whole families, then what differs (EC2's own
 * DescribeInstanceTypes, November 2026). Shares of a GPU (`g6f`) are left out.
 */
const EC2_FAMILIES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  g4dn: { "12xlarge": 4, metal: 8, ...ofOne("", "2", "4", "8", "16") },
  g5: { "12xlarge": 4, "24xlarge": 4, "48xlarge": 8, ...ofOne("", "2", "4", "8", "16") },
  g5g: { "16xlarge": 2, metal: 2, ...ofOne("", "2", "4", "8") },
  g6: { "12xlarge": 4, "24xlarge": 4, "48xlarge": 8, ...ofOne("", "2", "4", "8", "16") },
  g6e: { "12xlarge": 4, "24xlarge": 4, "48xlarge": 8, ...ofOne("", "2", "4", "8", "16") },
  g7: { "12xlarge": 2, "24xlarge": 4, "48xlarge": 8, ...ofOne("2", "4", "8") },
  g7e: { "12xlarge": 2, "24xlarge": 4, "48xlarge": 8, ...ofOne("2", "4", "8") },
  gr6: ofOne("4", "8"),
  p3: { "2xlarge": 1, "8xlarge": 4, "16xlarge": 8 },
  p3dn: { "24xlarge": 8 },
  p4d: { "24xlarge": 8 },
  p4de: { "24xlarge": 8 },
  p5: { "4xlarge": 1, "48xlarge": 8 },
  p5e: { "48xlarge": 8 },
  p5en: { "48xlarge": 8 },
  "p6-b200": { "48xlarge": 8 },
  "p6-b300": { "48xlarge": 8 },
};

/** Sizes with a single GPU: `""` is `xlarge`, `"2"` is `2xlarge`. */
function ofOne(...sizes: string[]): Record<string, number> {
  return Object.fromEntries(sizes.map((size) => [`${size}xlarge`, 1]));
}

const EC2_GPUS: ReadonlyMap<string, number> = new Map(
  Object.entries(EC2_FAMILIES).flatMap(([family, sizes]) =>
    Object.entries(sizes).map(([size, gpus]) => [`${family}.${size}`, gpus] as const),
  ),
);

/** GCP's L4 machines are named by their vCPUs (Compute Engine, "GPU machine types", 2026). */
const G2_GPUS = new Map([
  ["g2-standard-4", 1],
  ["g2-standard-8", 1],
  ["g2-standard-12", 1],
  ["g2-standard-16", 1],
  ["g2-standard-24", 2],
  ["g2-standard-32", 1],
  ["g2-standard-48", 4],
  ["g2-standard-96", 8],
]);

/**
 * GPUs of CoreWeave's types (kubernetes/autoscaler, cloudprovider/coreweave). Its `rdma/ib` counts
 * shares, not ports, so no fabric is expected from it.
 */
const COREWEAVE_GPUS = new Map([
  ["b200-8x", 8],
  ["b300-8x", 8],
  ["gd-1xgh200", 1],
  ["gd-8xa100-i128", 8],
  ["gd-8xh100ib-i128", 8],
  ["gd-8xh200ib-i128", 8],
  ["gd-8xl40-i128", 8],
  ["gd-8xl40s-i128", 8],
  ["rtxp6000-8x", 8],
]);

/** GPUs of virtual nodes, as in their catalogue (reconciler/provider/kwok/catalog.ts). */
const KWOK_GPUS = new Map([
  ["dgxa100.40g", 8],
  ["dgxa100.80g", 8],
  ["dgxh100.80g", 8],
]);

/** Lambda's names begin with the number, GCP's accelerator-optimised types end with it. */
const LAMBDA_GPUS = /^gpu_(\d{1,2})x_/;
const GCP_GPUS = /^a\d+x?-(?:high|mega|ultra|edge)gpu-(\d{1,2})g(?:-|$)/;

/** GPUs of a provider's instance type or of an abstract one; `null` if unknown. */
export function gpusOfType(name: string, provider: string): number | null {
  const row = ABSTRACT.get(name);
  const sold = Object.entries(row ?? {}).find(([key]) => key === provider)?.[1];
  const type = row === undefined ? name : sold;
  if (type === undefined) return null;
  switch (provider) {
    case "aws":
      return EC2_GPUS.get(type) ?? null;
    case "gcp":
      return G2_GPUS.get(type) ?? numberIn(GCP_GPUS, type);
    case "lambda":
      return numberIn(LAMBDA_GPUS, type);
    case "coreweave":
      return COREWEAVE_GPUS.get(type) ?? null;
    case "kwok":
      return KWOK_GPUS.get(type) ?? null;
    default:
      return null;
  }
}

/** CoreWeave's types that are known here, for hints: its API has no list. */
export const coreweaveTypes = (): string[] => [...COREWEAVE_GPUS.keys()];

function numberIn(pattern: RegExp, text: string): number | null {
  const digits = pattern.exec(text)?.[1];
  return digits === undefined ? null : Number(digits);
}
