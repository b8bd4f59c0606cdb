/**
 * What a GPU model brings with it, by the name that NVML gives: how many NVLinks its board wires,
 * and whether they form a switched fabric. A card whose links depend on a bridge somebody may have
 * bought has none by itself, and a model that is not listed promises nothing. Pure.
 */
import { keepAnswers } from "../keep-answers.ts";

export type GpuModel = {
  /** NVLinks that a board with at least two of these GPUs has in use; 0 where a bridge decides. */
  links: number;
  /** Boards exist on which some of the links lead nowhere: only "none at all" is then a fault. */
  partial: boolean;
};

/**
 * Links by NVIDIA's published figures: V100 6 (Volta architecture whitepaper, 2017), A100 12 (A100
 * datasheet, 600 GB/s at 50 GB/s each), H100, H200 and H20 18 (H100 whitepaper; 900 GB/s), B200 and
 * B300 18 (fifth generation, 1.8 TB/s at 100 GB/s each). Guests with four of eight V100 have links
 * that end at GPUs of others; GB200 boards come with switches and without. A800 and H800 have 8 in
 * use (400 GB/s) of those that their chips have, so links that are down say nothing there.
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

/** Cards of a slot; with "NVL" in the name they are sold with a bridge, which may be left out. */
const CARD = /\b(?:PCIe|PCIE|NVL|A2|A10G?|A16|A30|A40|L4|L40S?|T4|RTX|GeForce|Quadro)\b/;
const UNLINKED: GpuModel = { links: 0, partial: false };

/**
 * `null`: not a model that this table knows. A node has one model, rarely two, and several probes
 * ask for it once for each GPU.
 */
export const modelOf = keepAnswers((name): GpuModel | null => {
  const found = LINKED.find(([pattern]) => pattern.test(name));
  if (found !== undefined) return found[1];
  return CARD.test(name) ? UNLINKED : null;
});
