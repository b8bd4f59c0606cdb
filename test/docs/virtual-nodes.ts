/** What the chart `virtual-nodes` takes from the code: types, and the Node of an empty entry. */
import { capacityOf, PRESET_TYPES } from "../../reconciler/provider/kwok/catalog.ts";
import { KWOK_TAINT, virtualNode } from "../../reconciler/provider/kwok/virtual-node.ts";

export function formatNodeFile(): string {
  const capacity = (type: string) => {
    const answer = capacityOf(type);
    return answer.kind === "ok" ? answer.capacity : {};
  };
  const node = virtualNode({
    name: "NAME",
    labels: {},
    annotations: {},
    resources: {},
    conditions: [],
    isTainted: false,
  });
  const presets = Object.fromEntries(PRESET_TYPES.map((type) => [type, capacity(type)]));
  const file = { baseline: capacity("any other"), presets, taints: [KWOK_TAINT], node };
  return `${JSON.stringify(file, null, 2)}\n`;
}
