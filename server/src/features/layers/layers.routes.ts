import { layers as contract } from '@kohort/contract';
import type { Router } from '../../http/route.ts';
import type { Once } from '../idempotency/idempotency.ts';
import { createLayer, deleteLayer, type LayersContext, listLayers, readLayer } from './layers.ts';

export function layerRoutes({ route }: Router, context: LayersContext, once: Once): void {
  route(contract.createLayer, ({ body, idempotent }) => once(idempotent, (db) => createLayer(db, body.slug)));

  route(contract.listLayers, async ({ query }) => {
    const { layers, next_cursor } = await listLayers(context, query);
    return { layers: layers.map(onWire), next_cursor };
  });

  route(contract.readLayer, async ({ params }) => onWire(await readLayer(context.db, params.slug)));

  route(contract.deleteLayer, async ({ params }) => {
    await deleteLayer(context, params.slug);
    return undefined;
  });
}

function onWire({ id, slug, segments }: Awaited<ReturnType<typeof readLayer>>) {
  return { id, slug, segments: [...segments] };
}
