package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-go/session/memstore"
)

// variables are those that main.go reads. The others have defaults.
var variables = []string{"MONGO_URI", "SESSION_SECRET", "TRUSTED_PROXIES"}

func TestKubernetes(t *testing.T) {
	data, err := os.ReadFile("kubernetes.yaml")
	require.NoError(t, err)
	documents := strings.Split(string(data), "\n---\n")
	require.Len(t, documents, 3)
	var deployment appsv1.Deployment
	var service corev1.Service
	var budget policyv1.PodDisruptionBudget
	for i, object := range []any{&deployment, &service, &budget} {
		require.NoError(t, yaml.UnmarshalStrict([]byte(documents[i]), object))
	}

	require.EqualValues(t, 2, *deployment.Spec.Replicas)
	pod := deployment.Spec.Template
	require.Equal(t, deployment.Spec.Selector.MatchLabels, pod.Labels)
	require.Equal(t, service.Spec.Selector, pod.Labels)
	require.Equal(t, budget.Spec.Selector.MatchLabels, pod.Labels)
	c := pod.Spec.Containers[0]
	require.EqualValues(t, 8080, c.Ports[0].ContainerPort) // the program's default
	require.Equal(t, c.Ports[0].Name, service.Spec.Ports[0].TargetPort.StrVal)
	require.Equal(t, "TRUSTED_PROXIES", c.Env[0].Name)
	for _, name := range []string{"MONGO_URI", "SESSION_SECRET"} {
		require.Contains(t, documents[0], "--from-literal="+name+"=")
	}
	require.Greater(t, *pod.Spec.TerminationGracePeriodSeconds, c.Lifecycle.PreStop.Sleep.Seconds+20)

	// Each probe asks a path of the program, and none depends on the database.
	down := func(context.Context) error { return errors.New("no primary") }
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		require.Equal(t, c.Ports[0].Name, probe.HTTPGet.Port.StrVal)
		require.Equal(t, http.StatusOK, get(t, probe.HTTPGet.Path, down))
	}
	require.Equal(t, http.StatusServiceUnavailable, get(t, "/readyz", down))
	require.Equal(t, http.StatusOK, get(t, "/readyz", func(context.Context) error { return nil }))
}

func get(t *testing.T, path string, ping func(context.Context) error) int {
	srv := httptest.NewServer(handler(memstore.NewManager(), ping))
	defer srv.Close()
	resp, err := http.Get(srv.URL + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NotContains(t, string(body), "primary")
	return resp.StatusCode
}

func TestCompose(t *testing.T) {
	load := func(env types.Mapping) (*types.Project, error) {
		files := []types.ConfigFile{{Filename: "compose.yaml"}}
		return loader.LoadWithContext(t.Context(), types.ConfigDetails{ConfigFiles: files, Environment: env})
	}
	_, err := load(nil)
	require.ErrorContains(t, err, "SESSION_SECRET")

	project, err := load(types.Mapping{"SESSION_SECRET": "kb3pHcgEbCzUFKqY7LmDP2nXvQs9rTwA"})
	require.NoError(t, err)
	require.Len(t, project.Services, 4)
	conf, err := os.ReadFile("proxies/nginx.conf")
	require.NoError(t, err)
	for _, name := range []string{"app-1", "app-2"} {
		app := project.Services[name]
		require.Equal(t, "shop", app.Image)
		for _, variable := range variables {
			require.NotEmpty(t, app.Environment[variable], variable)
		}
		require.Equal(t, types.ServiceConditionHealthy, app.DependsOn["mongo"].Condition)
		require.Contains(t, string(conf), "server "+name+":8080;")
	}
	require.NotNil(t, project.Services["mongo"].HealthCheck)
	for _, volume := range project.Services["nginx"].Volumes {
		if volume.Target != "/etc/nginx/nginx.conf" {
			require.Contains(t, string(conf), " "+volume.Target+";")
		}
	}
}
