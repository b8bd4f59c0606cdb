/** An RMA record as the HTTP API and `navarch explain` show it. Pure. */
import type { RmaRecord, RmaView } from "../../../schema/rma.ts";

const iso = (at: number): string => new Date(at).toISOString();

export function viewRma(rma: RmaRecord): RmaView {
  const { host, hostname, address, rack, provider, because } = rma;
  return {
    at: iso(rma.at),
    ...{ host, hostname, address, rack, provider },
    driver_version: rma.driver,
    kernel_version: rma.kernel,
    because,
    rebooted_at: rma.rebootedAt === null ? null : iso(rma.rebootedAt),
    faults: rma.faults.map((one) => ({
      fault: one.fault,
      gpu_index: one.gpu,
      gpu_uuid: one.uuid,
      gpu_serial: one.serial,
      gpu_model: one.model,
      pci_bus_id: one.pci,
      line: one.line,
      at: iso(one.at),
      count: one.count,
      ...(one.occurrences === undefined ? {} : { occurrences: one.occurrences }),
    })),
  };
}
