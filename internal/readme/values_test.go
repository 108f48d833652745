package readme_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-go/session"
	"github.com/holdfast-go/session/memstore"
)

// docs/how-to/store-values.md

type item struct {
	Product string
	Count   int
}

const (
	flash   session.Key[string]   = "flash"
	cart    session.Key[[]item]   = "cart"
	coupons session.Key[[]string] = "coupons"
	paid    session.Key[bool]     = "paid"
)

func TestFlashShowsOnce(t *testing.T) {
	m := memstore.NewManager()
	cookies := do(m, nil, func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		// In the handler of the form:
		flash.Set(s, "Saved.")
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}).Cookies()
	show := func() (shown string) {
		do(m, cookies, func(w http.ResponseWriter, r *http.Request) {
			s := session.FromContext(r.Context())
			// In the handler of the next page:
			if message, ok := flash.Pop(s); ok {
				shown = message
			}
		})
		return shown
	}
	require.Equal(t, "Saved.", show())
	require.Empty(t, show())
}

func addToCart(ctx context.Context, s *session.Session, product string) error {
	_, err := cart.Update(ctx, s, func(items []item) []item {
		for i := range items {
			if items[i].Product == product {
				items[i].Count++
				return items
			}
		}
		return append(items, item{product, 1})
	})
	return err
}

func TestCart(t *testing.T) {
	do(memstore.NewManager(), nil, func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		for _, product := range []string{"tea", "milk", "tea"} {
			require.NoError(t, addToCart(r.Context(), s, product))
		}
		items := cart.GetOr(s, nil)
		require.Equal(t, []item{{"tea", 2}, {"milk", 1}}, items)
	})
}

// redeem reports whether the coupon was redeemed now, and not before.
func redeem(ctx context.Context, s *session.Session, code string) (redeemed bool, err error) {
	_, err = coupons.Update(ctx, s, func(used []string) []string {
		redeemed = !slices.Contains(used, code) // set in each run, since f may run again
		if !redeemed {
			return used
		}
		return append(used, code)
	})
	return redeemed && err == nil, err
}

func TestRefuseInUpdate(t *testing.T) {
	do(memstore.NewManager(), nil, func(w http.ResponseWriter, r *http.Request) {
		s := session.FromContext(r.Context())
		for _, want := range []bool{true, false} {
			got, err := redeem(r.Context(), s, "SPRING")
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

func charge(ctx context.Context, s *session.Session, pay func() error) error {
	paid.Set(s, true)
	if err := s.Save(ctx); err != nil {
		return err // not stored, so nothing is charged
	}
	return pay()
}

func TestSaveBeforeASideEffect(t *testing.T) {
	store := memstore.New()
	m, err := session.New(store, secret)
	require.NoError(t, err)
	do(m, nil, func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, charge(r.Context(), session.FromContext(r.Context()), func() error {
			require.Equal(t, 1, store.Len())
			return nil
		}))
	})
}
