/** Which part of time the charts of a device show and how finely, and the ways to another. */
import { useMemo } from 'preact/hooks';
import { DETAIL_TITLES, DETAILS, type Detail, fits } from '../charts/details.ts';
import { FIRST_RANGE, liveView, moved, RANGES, spanOf, type View, zoomedIn, zoomedOut } from '../charts/ranges.ts';
import { hubNow } from '../hub/client.http.ts';
import { localTime, span } from '../kit/format.ts';
import { Icon } from '../kit/icons.tsx';
import { Choice } from '../kit/parts.tsx';

interface TimelineProps {
  view: View;
  onView(view: View): void;
  detail: Detail;
  onDetail(detail: Detail): void;
}

/** Everything that a mouse does on a chart can be done here without one. */
export function Timeline({ view, onView, detail, onDetail }: TimelineProps) {
  const [name, title] = (view.live && RANGES.find(([, , ms]) => ms === spanOf(view))) || [];
  const options = useMemo(() => RANGES.map(([value, text]): [string, string] => [value, text]), []);
  const pick = (value: string) => onView(liveView(RANGES.find(([range]) => range === value)![2], hubNow()));
  return (
    <div class="timeline">
      <Choice label="Range" options={options} value={name ?? ''} onPick={pick} />
      <DetailField spanMs={spanOf(view)} detail={detail} onDetail={onDetail} />
      <Steps view={view} onView={onView} />
      <span class="soft" role="status">
        {view.live
          ? `The last ${title ?? span(spanOf(view))}, live. Drag over a chart to zoom.`
          : `${localTime(view.from)} to ${localTime(view.to)}`}
      </span>
    </div>
  );
}

/** What does not suit the range cannot be chosen. */
function DetailField({ spanMs, detail, onDetail }: { spanMs: number } & Pick<TimelineProps, 'detail' | 'onDetail'>) {
  return (
    <label class="detail">
      Detail
      <select value={detail} onChange={(event) => onDetail(event.currentTarget.value as Detail)}>
        {DETAILS.map((each) => (
          <option key={each} value={each} disabled={!fits(each, spanMs)}>
            {DETAIL_TITLES[each]}
          </option>
        ))}
      </select>
    </label>
  );
}

function Steps({ view, onView }: Pick<TimelineProps, 'view' | 'onView'>) {
  const step = (direction: -1 | 1) => onView(moved(view, direction, hubNow()));
  return (
    <div class="actions">
      <button type="button" aria-label="Earlier" title="Earlier" onClick={() => step(-1)}>
        <span class="turned">
          <Icon name="right" />
        </span>
      </button>
      <button type="button" aria-label="Later" title="Later" disabled={view.live} onClick={() => step(1)}>
        <Icon name="right" />
      </button>
      <button type="button" aria-label="Zoom in" title="Zoom in" onClick={() => onView(zoomedIn(view, hubNow()))}>
        <Icon name="zoomIn" />
      </button>
      <button type="button" aria-label="Zoom out" title="Zoom out" onClick={() => onView(zoomedOut(view, hubNow()))}>
        <Icon name="zoomOut" />
      </button>
      <button
        type="button"
        class={view.live ? '' : 'primary'}
        disabled={view.live}
        onClick={() => onView(liveView(FIRST_RANGE[2], hubNow()))}
      >
        Live
      </button>
    </div>
  );
}
