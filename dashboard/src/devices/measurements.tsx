/** What a device measures: the last values, and charts of each stream with a live edge. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Drawers } from '../charts/chart.uplot.tsx';
import { type Detail, detailOf, fits } from '../charts/details.ts';
import { queryOf, spanOf, type View, viewOf, windowAt } from '../charts/ranges.ts';
import { catalog, fieldOf, streamOf } from '../hub/catalog.ts';
import { hubNow } from '../hub/client.http.ts';
import type { Reading } from '../hub/devices.ts';
import { readingsIn, useLive } from '../hub/live.ts';
import { fieldValue } from '../kit/format.ts';
import { Card, Empty } from '../kit/parts.tsx';
import { Ago } from '../kit/time.tsx';
import { goTo, linkTo, place } from '../router.ts';
import type { DevicePartProps } from './device-page.tsx';
import { StreamCharts } from './stream-charts.tsx';
import { Timeline } from './timeline.tsx';

/** Charts are drawn when the live edge has moved about a third of a pixel, within these bounds. */
const DRAW_MS = { least: 200, most: 5_000 };
const PIXELS = 1_500;

/** Streams that the device sent something of, the ones with news first in the order of the catalog. */
export function Measurements({ device }: DevicePartProps) {
  const { view, detail, setView, setDetail } = useShown();
  const [last, setLast] = useState<Record<string, Reading>>(device.last);
  const drawers = useRef<Drawers>(new Set()).current;
  useLive({ readings: [device.id] }, (news) => {
    const newest = Object.fromEntries(readingsIn(news).map(({ stream, reading }) => [stream, reading]));
    setLast((before) => ({ ...before, ...newest }));
  });
  useDrawing(view, drawers);
  const streams = catalog.value.streams.map(({ name }) => name);
  const heard = streams.filter((name) => last[name]);
  return (
    <>
      <LastValues last={last} streams={heard} />
      <Timeline view={view} onView={setView} detail={detail} onDetail={setDetail} />
      {(heard.length > 0 ? heard : streams).map((stream) => (
        <StreamCharts
          key={stream}
          device={device.id}
          stream={stream}
          view={view}
          detail={detail}
          drawers={drawers}
          onView={setView}
          lastAt={last[stream]?.ts}
        />
      ))}
      {heard.length === 0 && (
        <Empty icon="status" title="No readings yet">
          They show up here as they come.
        </Empty>
      )}
    </>
  );
}

/** The range and the detail are in the address, so that a reload or a link has them. */
function useShown() {
  const { parts, query } = place.value;
  const text = ['range', 'from', 'to'].map((name) => query.get(name)).join(' ');
  const view = useMemo(() => viewOf(query, hubNow()), [text]);
  const picked = detailOf(query.get('detail'));
  const detail = fits(picked, spanOf(view)) ? picked : 'auto';
  const show = (next: View, how: Detail) =>
    goTo(linkTo(parts, { ...queryOf(next), ...(how !== 'auto' && { detail: how }) }), { replace: true });
  return {
    ...{ view, detail },
    setView: (next: View) => show(next, picked),
    setDetail: (how: Detail) => show(view, how),
  };
}

/** Moves all charts along while the view is live. */
function useDrawing(view: View, drawers: Drawers): void {
  useEffect(() => {
    const draw = () => {
      if (document.hidden) return;
      const [from, to] = windowAt(view, hubNow());
      for (const drawer of drawers) drawer(from, to);
    };
    draw();
    if (!view.live) return;
    const everyMs = Math.min(Math.max(spanOf(view) / PIXELS, DRAW_MS.least), DRAW_MS.most);
    const timer = setInterval(draw, everyMs);
    return () => clearInterval(timer);
  }, [view, drawers]);
}

function LastValues({ last, streams }: { last: Record<string, Reading>; streams: string[] }) {
  return streams.map((stream) => {
    const { ts, ...values } = last[stream]!;
    const title = streams.length > 1 ? `Last values of ${streamOf(stream)?.title ?? stream}` : 'Last values';
    return (
      <Card
        key={stream}
        title={title}
        actions={
          <small>
            <Ago at={ts} />
          </small>
        }
      >
        <div class="values">
          {Object.entries(values).map(([name, value]) => {
            const field = fieldOf(stream, name);
            return (
              <div class="value" key={name}>
                <span class="soft">{field.title}</span>
                <strong>{fieldValue(value, field)}</strong>
              </div>
            );
          })}
        </div>
      </Card>
    );
  });
}
