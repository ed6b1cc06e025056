/**
 * Chooses what a run sends by its options: orders of the shop, or the user's own records.
 *
 * @module
 */

import { createShop } from "../shop/shop.ts";
import { BadOrders } from "./bad_orders.ts";
import type { OpenedProducer } from "./open.ts";
import type { ProducerOptions } from "./options.ts";
import { orderParcels, type ParcelSource } from "./parcels.ts";
import { ownParcels } from "./payload/own_records.ts";
import type { RecordSource } from "./payload/source.ts";
import type { OrderRouter } from "./routing.ts";

export function parcelsOf(
  options: ProducerOptions,
  { source, router, opened }: {
    readonly source: RecordSource | undefined;
    readonly router: OrderRouter;
    readonly opened: Pick<OpenedProducer, "messageBytesMax">;
  },
): ParcelSource {
  if (source !== undefined) return ownParcels(source, (record) => router.partitionOf(record));
  const { bad: percent, badKinds: kinds, seed } = options;
  const oversizeBytes = opened.messageBytesMax;
  return orderParcels({
    shop: createShop(options),
    route: (order) => router.route(order),
    ...(percent !== undefined && {
      badOrders: new BadOrders({ percent, kinds, seed, oversizeBytes }),
    }),
  });
}
