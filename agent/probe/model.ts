/**
 * Knows GPU models by their NVML name: how many NVLinks the board wires. Links of a card depend on
 * an optional bridge, so none are expected; nor of an unlisted model. Pure.
 */
import { keepAnswers } from "../kernel/keep-answers.ts";

export type GpuModel = {
  /** NVLinks in use on a board with at least two of these GPUs; 0 where a bridge decides. */
  links: number;
  /** Some boards leave links unconnected: only "no link at all" is a fault. */
  partial: boolean;
};

/**
 * NVIDIA's figures: V100 6 (Volta architecture whitepaper, 2017), A100 12 (A100 datasheet, 600 GB/s
 * at 50 GB/s each), H100, H200 and H20 18 (H100 whitepaper; 900 GB/s), B200 and B300 18 (fifth
 * generation, 1.8 TB/s at 100 GB/s each). Partial: guests with four of eight V100, GB200 boards
 * without switches, and A800 and H800, which use 8 (400 GB/s) of their chips' links.
 */
const LINKED: readonly (readonly [RegExp, GpuModel])[] = [
  [/^(?:NVIDIA |Tesla )V100-SXM\d/, { links: 6, partial: true }],
  [/^(?:NVIDIA )?A100-SXM4-\d+GB$/, { links: 12, partial: false }],
  [/^(?:NVIDIA )?A800-SXM4-\d+GB$/, { links: 8, partial: true }],
  [/^NVIDIA A100-SXM-64GB$/, { links: 12, partial: true }],
  [/^NVIDIA H800$/, { links: 8, partial: true }],
  [/^NVIDIA H100 \d+GB HBM3$/, { links: 18, partial: false }],
  [/^NVIDIA H200$/, { links: 18, partial: false }],
  [/^NVIDIA H20(?:-3e)?$/, { links: 18, partial: false }],
  [/^NVIDIA B[23]00(?: SXM\d.*)?$/, { links: 18, partial: false }],
  [/^NVIDIA GB[23]00$/, { links: 18, partial: true }],
];

/** PCIe cards; "NVL" models are sold with an optional bridge. */
const CARD = /\b(?:PCIe|PCIE|NVL|A2|A10G?|A16|A30|A40|L4|L40S?|T4|RTX|GeForce|Quadro)\b/;
const UNLINKED: GpuModel = { links: 0, partial: false };

/** `null`: an unlisted model. */
export const modelOf = keepAnswers((name): GpuModel | null => {
  const found = LINKED.find(([pattern]) => pattern.test(name));
  if (found !== undefined) return found[1];
  return CARD.test(name) ? UNLINKED : null;
});
