/** What is read from the text behind a code, whole: nothing that is not there, and nothing else. */
import { expect, test } from "bun:test";
import { bodyMetrics } from "./xid-body.ts";

const REGISTERS = "0x1, 0x2, 0x10, 0xdeadbeef, 0x0, 0x7, 0xA";
const LINK5 = "NETIR_LINK_EVT Fatal XC0 i0 Link 04 (0x000e5081 0x00000001 0x2 0x3 0x4 0x5 0x6)";

test.each<[code: number, text: string, metrics: object]>([
  [79, "GPU has fallen off the bus.", {}],
  // NVLink of Blackwell: subcode is bits 20 to 25 of the first word.
  [
    145,
    LINK5,
    {
      ...{ unit: "NETIR_LINK_EVT", fatal: true, cross_contain: false, link: 4 },
      ...{ intr_info: 0x000e5081, subcode: 0, error_status: 1 },
      ...{ debug_0: 2, debug_1: 3, debug_2: 4, debug_3: 5, debug_4: 6 },
    },
  ],
  [
    149,
    "RLW_REMAP Nonfatal XC1 i0 Link 17 (0x04c00001 0x00000008)",
    {
      ...{ unit: "RLW_REMAP", fatal: false, cross_contain: true, link: 17 },
      ...{ intr_info: 0x04c00001, subcode: 12, error_status: 8 },
    },
  ],
  [
    144,
    "SAW_MVB  Fatal  XC0 i0 Link -1 (0xfff00000)",
    {
      ...{ unit: "SAW_MVB", fatal: true, cross_contain: false },
      ...{ intr_info: 0xfff00000, subcode: 0x3f },
    },
  ],
  [
    150,
    "a unit with spaces fatal XC0 i0 Link 0 (0x1)",
    {
      ...{ unit: "a unit with spaces", fatal: true, cross_contain: false, link: 0 },
      ...{ intr_info: 1, subcode: 0 },
    },
  ],
  [143, LINK5, {}],
  [151, LINK5, {}],
  [145, "something else", {}],
  // NVLink before: seven registers, or a link that could not be trained.
  [
    74,
    `NVLink: fatal error detected on link 6(${REGISTERS})`,
    {
      ...{ link: 6, register_1: 1, register_2: 2, register_3: 16, register_4: 0xdeadbeef },
      ...{ register_5: 0, register_6: 7, register_7: 10 },
    },
  ],
  [136, "NVLink: failed to train link 12 to remote PCI:0000:04:00", { link: 12, training: true }],
  [74, "failed to train link 3", { link: 3, training: true }],
  [74, "link 6 (0x1, 0x2)", {}],
  [75, `link 6(${REGISTERS})`, {}],
  [137, "failed to train link 12", {}],
  // Contained and uncontained errors carry what must be reset.
  [94, "Contained: SM (0x1). RST: No, D-RST: No", { rst: false, d_rst: false }],
  [95, "Uncontained: LTC TAG. RST: Yes, D-RST: No", { rst: true, d_rst: false }],
  [95, "RST: No, D-RST: Yes", { rst: false, d_rst: true }],
  [93, "RST: Yes, D-RST: Yes", {}],
  [96, "RST: Yes, D-RST: Yes", {}],
  [64, "All reserved rows for bank are remapped.", { remap_exhausted: true }],
  [63, "All reserved rows for bank are remapped.", {}],
  [64, "Row remapper failed", {}],
  // Where it happened.
  [13, "Graphics Exception on (GPC 2, TPC 3): x", { gpc: 2, tpc: 3 }],
  [13, "Warp Exception on (GPC 0, TPC 1, SM 1): x", { gpc: 0, tpc: 1, sm: 1 }],
  [8, "Channel 0000001f", { channel: 0x1f }],
  [32, "Channel ID 0000abcd intr0", { channel: 0xabcd }],
  [45, "Ch 00000010", { channel: 16 }],
  [45, "ChID 0012", { channel: 0x12 }],
  [45, "Ch 01", {}],
  [
    31,
    "Ch 00000008, intr 0. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f_1. Fault is of " +
      "type FAULT_PDE ACCESS_TYPE_VIRT_READ",
    { channel: 8, engine: "GRAPHICS", client: "GPCCLIENT_T1_0", fault_type: "FAULT_PDE" },
  ],
  [32, "MMU Fault: ENGINE A B faulted x. Fault is of type C", {}],
  [43, "Ch 00000008 caused by previous Xid 31", { channel: 8, root_xid: 31 }],
  [43, "caused by previous Xid 31 or not", {}],
  // The driver's verdict, by its numbers.
  [
    154,
    "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
    { recovery_previous: 0, recovery_action: 2 },
  ],
  [
    154,
    "GPU recovery action changed from 0xA (x) to 0x10 (None)",
    { recovery_previous: 10, recovery_action: 16 },
  ],
  [155, "GPU recovery action changed from 0x0 (None) to 0x2 (x)", {}],
  [154, "GPU recovery action changed", {}],
])("bodyMetrics() of %i: %s", (code, text, metrics) => {
  expect(bodyMetrics(code, text)).toEqual({ metrics, injected: false } as never);
});

test("bodyMetrics() knows what the driver's own injection made", () => {
  const injected = (digit: number) =>
    bodyMetrics(145, LINK5.replace(" i0 ", ` i${digit} `)).injected;
  expect([0, 1, 2].map(injected)).toEqual([false, true, true]);
  expect(bodyMetrics(31, "x i1 y").injected).toBe(false);
});

test("bodyMetrics() keeps no more of a name than 64 characters", () => {
  const long = "U".repeat(99);
  const cut = "U".repeat(64);
  expect(bodyMetrics(145, LINK5.replace("NETIR_LINK_EVT", long)).metrics["unit"]).toBe(cut);
  const fault = `MMU Fault: ENGINE ${long} ${long} faulted @ 0. Fault is of type ${long}`;
  expect(bodyMetrics(31, fault).metrics).toEqual({ engine: cut, client: cut, fault_type: cut });
});
